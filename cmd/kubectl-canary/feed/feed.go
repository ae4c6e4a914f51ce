// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package feed keeps objects of a cluster up to date with watches.
package feed

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Feed keeps the selected objects up to date with a watch.
type Feed struct {
	client  client.WithWatch
	kind    client.ObjectList
	options []client.ListOption
	// slim drops what is not needed of an object before it is kept; nil keeps all.
	slim func(client.Object)
	// dirty receives a token whenever something has changed.
	dirty chan<- struct{}

	mu      sync.Mutex
	objects map[string]client.Object
	// isSynced is true once the objects have been listed.
	isSynced bool
	// err is why the objects cannot be watched at the moment.
	err error
}

// New returns a feed of the objects of a list type that the options select. dirty receives a token whenever something has
// changed; it should have room for one. slim drops what is not needed of an object before it is kept; nil keeps all.
func New(c client.WithWatch, kind client.ObjectList, dirty chan<- struct{}, slim func(client.Object), options ...client.ListOption) *Feed {
	return &Feed{client: c, kind: kind, options: options, dirty: dirty, slim: slim}
}

// again is how long a feed waits before it lists again. What is forbidden seldom changes, so each wait for it is twice as long as
// the one before, up to longestWait.
const (
	again       = time.Second
	longestWait = 30 * time.Second
)

// Run watches the objects until the context is done. It restarts a watch that has ended.
func (f *Feed) Run(ctx context.Context) {
	for pause := again; ctx.Err() == nil; pause = min(2*pause, longestWait) {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.update(func() { f.err = err })
		if !apierrors.IsForbidden(err) {
			pause = again
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (f *Feed) follow(ctx context.Context) error {
	list := f.kind.DeepCopyObject().(client.ObjectList)
	if err := f.client.List(ctx, list, f.options...); err != nil {
		return err
	}
	if err := f.replace(list); err != nil {
		return err
	}
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	watcher, err := f.client.Watch(ctx, list, append(slices.Clone(f.options), from)...)
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		f.take(event)
	}
	return nil // the API server ends watches regularly
}

func (f *Feed) replace(list client.ObjectList) error {
	objects := map[string]client.Object{}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		object, isObject := item.(client.Object)
		if !isObject {
			return errors.New("the list holds something that has no name")
		}
		objects[keyOf(object)] = f.slimmed(object)
		return nil
	})
	if err == nil {
		f.update(func() { f.objects, f.isSynced, f.err = objects, true, nil })
	}
	return err
}

func keyOf(object client.Object) string { return object.GetNamespace() + "/" + object.GetName() }

func (f *Feed) slimmed(object client.Object) client.Object {
	if f.slim != nil {
		f.slim(object)
	}
	return object
}

func (f *Feed) take(event watch.Event) {
	object, isObject := event.Object.(client.Object)
	if !isObject {
		return
	}
	f.update(func() {
		switch event.Type {
		case watch.Added, watch.Modified:
			f.objects[keyOf(object)] = f.slimmed(object)
		case watch.Deleted:
			delete(f.objects, keyOf(object))
		case watch.Bookmark, watch.Error:
		}
	})
}

func (f *Feed) update(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	select {
	case f.dirty <- struct{}{}:
	default: // there already is a token
	}
}

// State returns the objects by name, whether they have been listed once, and the current error.
func (f *Feed) State() (objects []client.Object, isSynced bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, object := range f.objects {
		objects = append(objects, object)
	}
	slices.SortFunc(objects, func(a, b client.Object) int { return strings.Compare(keyOf(a), keyOf(b)) })
	return objects, f.isSynced, f.err
}

// Typed returns objects as values of their type.
func Typed[T any](objects []client.Object) []T {
	var values []T
	for _, object := range objects {
		if value, is := any(object).(*T); is {
			values = append(values, *value)
		}
	}
	return values
}
