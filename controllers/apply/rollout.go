// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

func (r *run) addFinalizer(ctx context.Context) (*observe.Write, error) {
	finalizers := slices.Clone(r.rollout.GetFinalizers())
	return r.patchRollout(ctx, map[string]any{"finalizers": append(finalizers, v1alpha1.Finalizer)})
}

func (r *run) removeFinalizer(ctx context.Context) (*observe.Write, error) {
	finalizers := slices.DeleteFunc(append([]string{}, r.rollout.GetFinalizers()...), func(finalizer string) bool {
		return finalizer == v1alpha1.Finalizer
	})
	write, err := r.patchRollout(ctx, map[string]any{"finalizers": finalizers})
	if err != nil {
		return nil, err
	}
	r.release = true
	// The answer to a write that deletes an object has the version from before it: a cache that still shows that one
	// must not pass for up to date, or the next pass would take the Services again.
	write.Deleted = len(finalizers) == 0
	return write, nil
}

func (r *run) removeAnnotations(ctx context.Context, keys []string) (*observe.Write, error) {
	annotations := map[string]any{}
	for _, key := range keys {
		annotations[key] = nil
	}
	return r.patchRollout(ctx, map[string]any{"annotations": annotations})
}

// patchRollout changes metadata of the rollout as our last write left it.
func (r *run) patchRollout(ctx context.Context, metadata map[string]any) (*observe.Write, error) {
	metadata["resourceVersion"] = r.rollout.GetResourceVersion()
	object := named(r.Raw)
	if err := r.patch(ctx, object, map[string]any{"metadata": metadata}); err != nil {
		return nil, err
	}
	r.rollout = object
	return wrote(observe.Object{Kind: observe.RolloutKind, Name: r.Name}, object), nil
}
