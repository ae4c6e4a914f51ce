// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// Kind returns the kind of rollouts.
func Kind() schema.GroupVersionKind { return v1alpha1.GroupVersion.WithKind("CanaryRollout") }

// Rollout is a rollout in two forms: typed for reading, and raw so that fields that our types do not know survive.
type Rollout struct {
	*v1alpha1.CanaryRollout
	// Raw is the rollout as the API server returned it.
	Raw *unstructured.Unstructured
}

// NewRollout returns a rollout that was read. It fails if our types cannot hold it.
func NewRollout(raw *unstructured.Unstructured) (*Rollout, error) {
	r := &Rollout{CanaryRollout: &v1alpha1.CanaryRollout{}, Raw: raw}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, r.CanaryRollout); err != nil {
		return nil, fmt.Errorf("read rollout %s: %w", raw.GetName(), err)
	}
	return r, nil
}

// IsObserved reports whether the operator has observed the current spec, so that the status is about it.
func (r *Rollout) IsObserved() bool {
	return r.Status.Memory != nil && r.Status.ObservedGeneration >= r.Generation
}

// HasCommand reports whether a command is pending: its annotation is still there, or it is not carried out yet.
func (r *Rollout) HasCommand() bool {
	for _, key := range []string{v1alpha1.PromoteAnnotation, v1alpha1.AbortAnnotation, v1alpha1.RetryAnnotation} {
		if _, found := r.Annotations[key]; found {
			return true
		}
	}
	return r.Status.Memory != nil && r.Status.Memory.Command != nil
}

// Target returns the revision of spec.template; empty until the operator has recorded it.
func (r *Rollout) Target() string {
	hash, err := revision.Hash(revision.Template(r.Raw))
	if err != nil || r.Status.Memory == nil || r.Status.Memory.Template.Hash != hash {
		return ""
	}
	return r.Status.Memory.Template.Revision
}

// refused returns why the operator would reject a command.
func (r *Rollout) refused(key, value string) string {
	return plan.Refused(r.CanaryRollout, r.Target(), key, value)
}
