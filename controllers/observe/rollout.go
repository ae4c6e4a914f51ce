// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Rollout is a rollout as the cache holds it. It is decoded once for each event, and then read by passes, indexes and watches, which
// must not modify it. It is typed, because that takes less memory than an unstructured object. Of what our types do
// not know, only the template and the steps are kept, as JSON: their hashes must not depend on our types.
type Rollout struct {
	v1alpha1.CanaryRollout

	// steps is spec.steps as stored.
	steps []byte
	// unreadable says why our types cannot hold the rollout. Then only its metadata are here.
	unreadable error
}

// RolloutList is a list of rollouts.
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Rollout `json:"items"`
}

// AddToScheme registers the kinds of our API group. Clients with the scheme read rollouts as Rollout.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypeWithName(RolloutKind, &Rollout{})
	scheme.AddKnownTypeWithName(v1alpha1.GroupVersion.WithKind(RolloutKind.Kind+"List"), &RolloutList{})
	scheme.AddKnownTypes(v1alpha1.GroupVersion, &v1alpha1.CanaryMetric{}, &v1alpha1.CanaryMetricList{})
	metav1.AddToGroupVersion(scheme, v1alpha1.GroupVersion)
	return nil
}

// UnmarshalJSON decodes a stored rollout. One that our types cannot hold is not an error here: it must not break the list or the
// watch of all rollouts. Its own pass reports it.
func (r *Rollout) UnmarshalJSON(data []byte) error {
	*r = Rollout{}
	err := r.unmarshal(data)
	if err == nil {
		return nil
	}
	var partial metav1.PartialObjectMetadata
	if err := json.Unmarshal(data, &partial); err != nil {
		return err
	}
	*r = Rollout{unreadable: fmt.Errorf("read the rollout: %w", err)}
	r.TypeMeta, r.ObjectMeta = partial.TypeMeta, partial.ObjectMeta
	return nil
}

// unmarshal reads a rollout once. In the spec, the field Steps is the one that is decoded, because it is less deeply nested than the
// field of our type.
func (r *Rollout) unmarshal(data []byte) error {
	var stored struct {
		metav1.TypeMeta
		Metadata struct {
			metav1.ObjectMeta

			ManagedFields skipped `json:"managedFields"`
		} `json:"metadata"`
		Spec struct {
			v1alpha1.CanaryRolloutSpec

			Steps runtime.RawExtension `json:"steps"`
		} `json:"spec"`
		Status v1alpha1.CanaryRolloutStatus `json:"status"`
	}
	if err := json.Unmarshal(data, &stored); err != nil {
		return err
	}
	r.TypeMeta, r.ObjectMeta, r.Spec, r.Status = stored.TypeMeta, stored.Metadata.ObjectMeta, stored.Spec.CanaryRolloutSpec, stored.Status
	if r.steps = stored.Spec.Steps.Raw; r.steps == nil {
		return nil
	}
	if err := json.Unmarshal(r.steps, &r.Spec.Steps); err != nil {
		return fmt.Errorf("spec.steps: %w", err)
	}
	return nil
}

// skipped is a field that is not decoded. The managedFields are a fifth of a rollout, and nobody reads them.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// DeepCopyObject implements runtime.Object.
func (r *Rollout) DeepCopyObject() runtime.Object {
	out := *r
	r.DeepCopyInto(&out.CanaryRollout)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *RolloutList) DeepCopyObject() runtime.Object {
	out := &RolloutList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*Rollout))
	}
	return out
}

// StripRollout is a cache transform that drops what nobody reads: the managedFields, and the copy of the manifest that kubectl apply
// leaves. It sets the kind, which clients drop from typed objects and the references of Events need.
func StripRollout(object any) (any, error) {
	if rollout, isRollout := object.(*Rollout); isRollout {
		rollout.SetGroupVersionKind(RolloutKind)
		rollout.ManagedFields = nil
		delete(rollout.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}

// Key returns the namespace and name of the rollout.
func (r *Rollout) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
}

// With returns the rollout as a write of its status left it. The spec is the same.
func (r *Rollout) With(meta metav1.ObjectMeta, status v1alpha1.CanaryRolloutStatus) *Rollout {
	meta.ManagedFields = nil
	written := &Rollout{steps: r.steps}
	written.TypeMeta, written.ObjectMeta, written.Spec, written.Status = r.TypeMeta, meta, r.Spec, status
	return written
}

// storedSpec is what is kept of a spec as stored. It keeps nothing else of a rollout in memory.
type storedSpec struct{ template, steps []byte }

func (r *Rollout) stored() storedSpec { return storedSpec{r.Spec.Template.Raw, r.steps} }

func (s storedSpec) isSame(other storedSpec) bool {
	return bytes.Equal(s.template, other.template) && bytes.Equal(s.steps, other.steps)
}

// Raw returns what a ReplicaSet is made from, as stored: fields of the pod template that our types do not know must reach the pods.
func (r *Rollout) Raw() *unstructured.Unstructured {
	spec := map[string]any{"minReadySeconds": int64(r.Spec.MinReadySeconds)}
	for field, data := range map[string][]byte{"template": r.Spec.Template.Raw, "steps": r.steps} {
		var value any
		// What is not JSON was not stored.
		if err := json.Unmarshal(data, &value); err == nil {
			spec[field] = value
		}
	}
	raw := New(RolloutKind)
	raw.SetNamespace(r.Namespace)
	raw.SetName(r.Name)
	raw.SetUID(r.UID)
	raw.Object["spec"] = spec
	// It cannot fail in a map that was just made.
	_ = unstructured.SetNestedStringMap(raw.Object, r.Spec.Selector.MatchLabels, "spec", "selector", "matchLabels")
	return raw
}

// Rollout reads a rollout from the cache. It must not be modified.
func (o *Observer) Rollout(ctx context.Context, key types.NamespacedName) (*Rollout, error) {
	rollout := &Rollout{}
	if err := o.Cache.Get(ctx, key, rollout, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	if rollout.unreadable != nil {
		return nil, rollout.unreadable
	}
	return rollout, nil
}

// Rollouts returns the rollouts in the cache, without those that cannot be read. They must not be modified.
func (o *Observer) Rollouts(ctx context.Context) ([]*v1alpha1.CanaryRollout, error) {
	list := &RolloutList{}
	if err := o.Cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the rollouts: %w", err)
	}
	var readable []*v1alpha1.CanaryRollout
	for i := range list.Items {
		if list.Items[i].unreadable == nil {
			readable = append(readable, &list.Items[i].CanaryRollout)
		}
	}
	return readable, nil
}
