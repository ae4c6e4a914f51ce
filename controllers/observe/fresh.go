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

// ErrStale ends a pass whose view is older than our own last write. It is no failure: the watch event that brings the
// newer object starts the next pass.
var ErrStale = errors.New("the cache is behind our own last write")

// patience is how many passes may end for one write before its object is looked up live. Only then is it worth a
// request: the object may have gone before any watch could show it.
const patience = 3

// fresh returns ErrStale when the cached object, nil if there is none, is behind our last write to it.
func (o *Observer) fresh(ctx context.Context, rollout types.NamespacedName, object Object, found metav1.Object) error {
	var in cached
	if found != nil {
		in = cached{found: true, uid: found.GetUID(), resourceVersion: found.GetResourceVersion()}
	}
	lags, refused := o.Tracker.behind(rollout, object, in)
	switch {
	case !lags:
		return nil
	case refused < patience:
		return ErrStale
	}
	return o.lookAgain(ctx, rollout, object, in)
}

// lookAgain asks the API server about an object that the cache does not bring up to date: when it agrees with the
// cache after all, the write was overtaken and there is nothing to wait for.
func (o *Observer) lookAgain(ctx context.Context, rollout types.NamespacedName, object Object, in cached) error {
	live := New(object.Kind)
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

// Confirm makes sure that a process does not act on a view that its predecessor's writes, or a deletion, have
// overtaken: before it first writes for a rollout, and always before it creates or adopts (again), the rollout that
// the pass was made from must be the live one.
func (o *Observer) Confirm(ctx context.Context, rollout *Rollout, again bool) error {
	key := rollout.Key()
	if !again && o.Tracker.isConfirmed(key, rollout.GetUID()) {
		return nil
	}
	live := New(RolloutKind)
	if err := o.Live.Get(ctx, key, live); err != nil {
		return err
	}
	if live.GetUID() != rollout.GetUID() || live.GetResourceVersion() != rollout.GetResourceVersion() {
		return ErrStale
	}
	o.Tracker.confirm(key, rollout.GetUID())
	return nil
}
