// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// watcher follows the sample's rollout and its Events.
type watcher struct {
	cache cache.Cache

	mu     sync.Mutex
	unread []*eventsv1.Event
}

// watch returns once the existing objects are known, and follows changes until ctx ends.
func watch(ctx context.Context, config *rest.Config) (*watcher, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), eventsv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	followed, err := cache.New(config, cache.Options{
		Scheme: scheme, DefaultNamespaces: map[string]cache.Config{namespace: {}},
	})
	if err != nil {
		return nil, err
	}
	w := &watcher{cache: followed}
	events, err := followed.GetInformer(ctx, &eventsv1.Event{})
	if err != nil {
		return nil, err
	}
	if _, err := events.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: w.add}); err != nil {
		return nil, err
	}
	if _, err := followed.GetInformer(ctx, &v1alpha1.CanaryRollout{}); err != nil {
		return nil, err
	}
	go func() { _ = followed.Start(ctx) }() // ends with ctx; a failure shows as a cache that never syncs
	if !followed.WaitForCacheSync(ctx) {
		return nil, errors.New("the rollout could not be watched")
	}
	return w, nil
}

func (w *watcher) add(object any) {
	event := object.(*eventsv1.Event)
	if event.Regarding.Kind != "CanaryRollout" || event.Regarding.Name != rolloutName {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unread = append(w.unread, event)
}

// events returns the Events since the last call, in order of time: they are sent concurrently and may arrive out of
// order.
func (w *watcher) events() []*eventsv1.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	unread := w.unread
	w.unread = nil
	slices.SortStableFunc(unread, func(a, b *eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	return unread
}

// rollout returns the latest known rollout; its name is empty if there is none.
func (w *watcher) rollout(ctx context.Context) *v1alpha1.CanaryRollout {
	rollout := &v1alpha1.CanaryRollout{}
	_ = w.cache.Get(ctx, client.ObjectKey{Namespace: namespace, Name: rolloutName}, rollout)
	return rollout
}
