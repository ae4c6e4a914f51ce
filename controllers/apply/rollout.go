// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func (r *run) addFinalizer(ctx context.Context) (*observe.Write, error) {
	finalizers := slices.Clone(r.rollout.GetFinalizers())
	return r.patchRollout(ctx, map[string]any{"finalizers": append(finalizers, v1alpha1.Finalizer)}, nil)
}

func (r *run) removeFinalizer(ctx context.Context) (*observe.Write, error) {
	finalizers := slices.DeleteFunc(append([]string{}, r.rollout.GetFinalizers()...), func(finalizer string) bool {
		return finalizer == v1alpha1.Finalizer
	})
	write, err := r.patchRollout(ctx, map[string]any{"finalizers": finalizers}, nil)
	if err != nil {
		return nil, err
	}
	r.finalizerRemoved = true
	// The response to a write that deletes an object has the version from before it. A cache that still shows that
	// version must not count as up to date, or the next pass would take the Services again.
	write.Deleted = len(finalizers) == 0
	return write, nil
}

func (r *run) removeAnnotations(ctx context.Context, keys []string) (*observe.Write, error) {
	annotations := map[string]any{}
	for _, key := range keys {
		annotations[key] = nil
	}
	return r.patchRollout(ctx, map[string]any{"annotations": annotations}, nil)
}

func (r *run) setReplicas(ctx context.Context, act plan.SetReplicas) (*observe.Write, error) {
	return r.patchRollout(ctx, map[string]any{}, map[string]any{"replicas": act.Replicas})
}

// patchRollout changes the rollout as our last write left it. A nil spec leaves the spec unchanged.
func (r *run) patchRollout(ctx context.Context, metadata, spec map[string]any) (*observe.Write, error) {
	metadata["resourceVersion"] = r.rollout.GetResourceVersion()
	fields := map[string]any{"metadata": metadata}
	if spec != nil {
		fields["spec"] = spec
	}
	object, err := r.patch(ctx, observe.RolloutKind, r.Rollout, fields)
	if err != nil {
		return nil, err
	}
	r.rollout = object
	return wrote(observe.Object{Kind: observe.RolloutKind, Name: r.Name}, object), nil
}
