// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrStale ends a pass whose view is older than our own last write. It is not a failure: the watch event for the
// newer object starts the next pass.
var ErrStale = errors.New("the cache is behind our own last write")

// patience is how many passes may end because of one write before its object is read live. Only then is it worth a
// request: the object may have been deleted before any watch could show it.
const patience = 3

// fresh returns ErrStale if the cached object is behind our last write to it. found is nil if the cache has no such
// object.
func (o *Observer) fresh(ctx context.Context, rollout types.NamespacedName, object Object, found metav1.Object) error {
	var in cached
	if found != nil {
		in = cached{found: true, uid: found.GetUID(), resourceVersion: found.GetResourceVersion()}
	}
	switch refused := o.Tracker.behind(rollout, object, in); {
	case refused == 0:
		return nil
	case refused < patience:
		return ErrStale
	}
	return o.readLive(ctx, rollout, object, in)
}

// readLive reads from the API server an object that stays behind in the cache. If the API server agrees with the
// cache after all, another write has superseded ours and there is nothing to wait for.
func (o *Observer) readLive(ctx context.Context, rollout types.NamespacedName, object Object, in cached) error {
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(object.Kind)
	err := o.Live.Get(ctx, types.NamespacedName{Namespace: rollout.Namespace, Name: object.Name}, live)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if apierrors.IsNotFound(err) && !in.found || err == nil && live.GetResourceVersion() == in.resourceVersion {
		o.Tracker.settle(rollout, object)
		return nil
	}
	return ErrStale
}

// Confirm ensures that a process does not act on a view that predates its predecessor's writes or a deletion. Before
// the process first writes for a rollout, and always before it creates or adopts ReplicaSets (again), the rollout
// that the pass is based on must be the live one.
func (o *Observer) Confirm(ctx context.Context, rollout *Rollout, again bool) error {
	key := rollout.Key()
	if !again && o.Tracker.isConfirmed(key, rollout.GetUID()) {
		return nil
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(RolloutKind)
	if err := o.Live.Get(ctx, key, live); err != nil {
		return err
	}
	if live.GetUID() != rollout.GetUID() || live.GetResourceVersion() != rollout.GetResourceVersion() {
		return ErrStale
	}
	o.Tracker.confirm(key, rollout.GetUID())
	return nil
}
