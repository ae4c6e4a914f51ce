// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

func (r *run) createReplicaSet(ctx context.Context, act plan.CreateReplicaSet) (*observe.Write, error) {
	replicaSet := revision.Render(r.Raw(), revision.Identity{
		Revision: act.Revision, Hash: act.TemplateHash, Replicas: act.Replicas,
	})
	err := r.Writer.Create(ctx, replicaSet, fieldOwner)
	isReclaimed := apierrors.IsAlreadyExists(err) && r.reclaim(ctx, replicaSet, act.TemplateHash) == nil
	if err != nil && !isReclaimed {
		return nil, err
	}
	write := created(replicaSet)
	write.Awaited = isReclaimed // it may have pods, which no pass has seen
	return write, nil
}

// reclaim restores our label on a ReplicaSet that we own but do not see, because somebody removed the label. The
// patch tests that the ReplicaSet is ours and made from the same template. Otherwise it fails and changes nothing.
func (r *run) reclaim(ctx context.Context, replicaSet *unstructured.Unstructured, hash string) error {
	patch, err := json.Marshal([]jsonpatch.Operation{
		jsonpatch.Test("/metadata/ownerReferences/0/uid", r.UID),
		jsonpatch.Test(jsonpatch.Pointer("metadata", "annotations", v1alpha1.TemplateHashAnnotation), hash),
		jsonpatch.Add(jsonpatch.Pointer("metadata", "labels", v1alpha1.RolloutLabel), r.Name),
	})
	if err != nil {
		return err
	}
	return r.Writer.Patch(ctx, replicaSet, client.RawPatch(types.JSONPatchType, patch), fieldOwner)
}

// adoptReplicaSet adds our owner reference and label; selector and pods stay as they are.
func (r *run) adoptReplicaSet(ctx context.Context, act plan.AdoptReplicaSet) (*observe.Write, error) {
	observed := r.ReplicaSets[act.Name]
	if observed == nil {
		return nil, errNotObserved
	}
	object, err := r.patch(ctx, observe.ReplicaSetKind, observed, map[string]any{"metadata": map[string]any{
		"uid":             observed.GetUID(),
		"resourceVersion": r.version(observed),
		"ownerReferences": append(observed.GetOwnerReferences(), revision.Owner(r.Rollout)),
		"labels":          map[string]any{v1alpha1.RolloutLabel: r.Name},
	}})
	if err != nil {
		return nil, err
	}
	return created(object), nil
}

func (r *run) scaleReplicaSet(ctx context.Context, act plan.ScaleReplicaSet) (*observe.Write, error) {
	observed := r.ReplicaSets[act.Name]
	if observed == nil {
		return nil, errNotObserved
	}
	object, err := r.patch(ctx, observe.ReplicaSetKind, observed, map[string]any{
		"metadata": map[string]any{"resourceVersion": r.version(observed)},
		"spec":     map[string]any{"replicas": act.Replicas, "minReadySeconds": act.MinReadySeconds},
	})
	if err != nil {
		return nil, err
	}
	r.versions[act.Name] = object.ResourceVersion // a mark may follow
	return wrote(replicaSetNamed(act.Name), object), nil
}

// markReplicaSet writes only annotations that no controller acts on.
func (r *run) markReplicaSet(ctx context.Context, act plan.MarkReplicaSet) (*observe.Write, error) {
	observed := r.ReplicaSets[act.Name]
	if observed == nil {
		return nil, errNotObserved
	}
	annotations := map[string]any{v1alpha1.PromotionAnnotation: nil, v1alpha1.AbortedAnnotation: nil}
	if act.Marks.Promotion > 0 {
		annotations[v1alpha1.PromotionAnnotation] = strconv.FormatInt(act.Marks.Promotion, 10)
	}
	if act.Marks.AbortReason != "" {
		annotations[v1alpha1.AbortedAnnotation] = act.Marks.AbortReason
	}
	object, err := r.patch(ctx, observe.ReplicaSetKind, observed, map[string]any{
		"metadata": map[string]any{"resourceVersion": r.version(observed), "annotations": annotations},
	})
	if err != nil {
		return nil, err
	}
	r.versions[act.Name] = object.ResourceVersion
	return wrote(replicaSetNamed(act.Name), object), nil
}

// deleteReplicaSet deletes only the observed version: the ReplicaSet may have been scaled up since.
func (r *run) deleteReplicaSet(ctx context.Context, act plan.DeleteReplicaSet) (*observe.Write, error) {
	observed := r.ReplicaSets[act.Name]
	if observed == nil {
		return nil, errNotObserved
	}
	err := r.Writer.Delete(ctx, named(observe.ReplicaSetKind, observed), client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: ptr.To(observed.GetUID()), ResourceVersion: ptr.To(r.version(observed))})
	if err != nil {
		return nil, err
	}
	return &observe.Write{Object: replicaSetNamed(act.Name), UID: observed.GetUID(), Deleted: true}, nil
}

// version returns the version of a ReplicaSet that a write must find: the observed one, or that of our last write.
func (r *run) version(observed *unstructured.Unstructured) string {
	return cmp.Or(r.versions[observed.GetName()], observed.GetResourceVersion())
}

// created describes a write of an object that our cache, which is filtered by our label, did not hold before.
func created(replicaSet metav1.Object) *observe.Write {
	write := wrote(replicaSetNamed(replicaSet.GetName()), replicaSet)
	write.Created = true
	return write
}

func replicaSetNamed(name string) observe.Object {
	return observe.Object{Kind: observe.ReplicaSetKind, Name: name}
}
