// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/event"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

// routeVersions are the versions that a kind of routes may be served in, in order of preference. TLSRoute and
// TCPRoute are v1alpha2 on clusters whose Gateway API predates their v1, or that have its experimental channel.
var routeVersions = []string{"v1", "v1alpha2"}

// Kinds watches each kind of routes, and CanaryMetrics, from the first rollout that names one until the cluster no longer serves
// the version. A missing kind is an error only for the rollouts that name it. A kind or a version that appears or
// disappears later needs no restart. It is safe for concurrent use.
type Kinds struct {
	// discovery reads the API as it is now. The client's own RESTMapper would keep a version that is no longer served.
	discovery resourceLister
	cache     cache.Informers
	// watch makes the controller reconcile the rollouts of each object of the kind.
	watch func(schema.GroupVersionKind) error
	// lost reports each kind that is no longer watched. It is buffered, because ending a watch cancels the context of
	// the handler that reports it.
	lost chan event.GenericEvent

	mu      sync.Mutex
	watched map[string]schema.GroupVersionKind
}

// resourceLister is the part of a discovery client that Kinds uses.
type resourceLister interface {
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// NewKinds returns a Kinds that watches nothing yet. SetupWithManager connects it.
func NewKinds() *Kinds {
	return &Kinds{lost: make(chan event.GenericEvent, 16), watched: map[string]schema.GroupVersionKind{}}
}

// Resolve implements observe.Kinds.
func (k *Kinds) Resolve(ctx context.Context, kind string) (schema.GroupVersionKind, error) {
	version, informer, err := k.informer(ctx, kind)
	if err != nil {
		return version, err
	}
	if !informer.HasSynced() {
		return version, fmt.Errorf("%ss cannot be read yet; if that lasts, the manager has no right to list and to watch them: "+
			"update its role", kind)
	}
	return version, nil
}

// informer returns the informer of the kind in the served version. It may not have synced yet.
func (k *Kinds) informer(ctx context.Context, kind string) (schema.GroupVersionKind, cache.Informer, error) {
	version, err := k.version(ctx, kind)
	if err != nil {
		return version, nil, err
	}
	informer, err := k.cache.GetInformer(ctx, observe.Empty(version), cache.BlockUntilSynced(false))
	if err != nil {
		return version, nil, fmt.Errorf("watch %ss: %w", kind, err)
	}
	return version, informer, nil
}

// version returns the version that the kind is served and watched in. It asks the cluster without holding the lock: a
// request that gets no answer must not block rollouts with other kinds.
func (k *Kinds) version(ctx context.Context, kind string) (schema.GroupVersionKind, error) {
	if version, isWatched := k.snapshot()[kind]; isWatched {
		return version, nil
	}
	for _, version := range versions(kind) {
		isServed, err := k.isServed(ctx, version)
		if err != nil {
			return schema.GroupVersionKind{}, err
		}
		if isServed {
			return k.begin(ctx, version)
		}
	}
	if kind == observe.MetricKind.Kind {
		return schema.GroupVersionKind{}, fmt.Errorf("the cluster serves no %s: apply config/crd, or upgrade the chart with crds.install", kind)
	}
	return schema.GroupVersionKind{}, fmt.Errorf("the cluster serves no %s: install the Gateway API with it, "+
		"or remove it from spec.traffic.routes", kind)
}

// versions returns the versions that a kind may be served in, in order of preference.
func versions(kind string) []schema.GroupVersionKind {
	if kind == observe.MetricKind.Kind {
		return []schema.GroupVersionKind{observe.MetricKind}
	}
	var versions []schema.GroupVersionKind
	for _, name := range routeVersions {
		versions = append(versions, schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: name, Kind: kind})
	}
	return versions
}

func (k *Kinds) isServed(ctx context.Context, version schema.GroupVersionKind) (bool, error) {
	resources, err := k.discovery.ServerResourcesForGroupVersionWithContext(ctx, version.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find %s among the kinds of the cluster: %w", version.Kind, err)
	}
	return slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Kind == version.Kind }), nil
}

// begin starts to watch the kind in that version, unless another pass was faster. It returns the version that is
// watched.
func (k *Kinds) begin(ctx context.Context, version schema.GroupVersionKind) (schema.GroupVersionKind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before, isWatched := k.watched[version.Kind]; isWatched {
		return before, nil
	}
	if err := k.watch(version); err != nil {
		return version, fmt.Errorf("watch %ss: %w", version.Kind, err)
	}
	ctrl.LoggerFrom(ctx).Info("Watching a kind", "kind", version.Kind, "version", version.Version)
	k.watched[version.Kind] = version
	return version, nil
}

// snapshot returns the kinds that are watched now.
func (k *Kinds) snapshot() map[string]schema.GroupVersionKind {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.watched)
}

// watchFailed is the cache's watch error handler. The API server answers NotFound to a watch of a version that it no
// longer serves; nothing else reports that.
func (k *Kinds) watchFailed(ctx context.Context, reflector *toolscache.Reflector, err error) {
	toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
	if apierrors.IsNotFound(err) {
		k.dropUnserved(ctx)
	}
}

// dropUnserved ends the watches of versions that are no longer served, so that the next Resolve finds the one that
// is. Otherwise their informers would show the last state for as long as the process runs.
func (k *Kinds) dropUnserved(ctx context.Context) {
	for _, version := range k.unserved(ctx) {
		ctrl.LoggerFrom(ctx).Info("A kind is no longer served in this version", "kind", version.Kind, "version", version.Version)
		object := observe.Empty(version)
		if err := k.cache.RemoveInformer(ctx, object); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Cannot end a watch", "kind", version.Kind, "version", version.Version)
		}
		select {
		case k.lost <- event.GenericEvent{Object: object}:
		default:
			ctrl.LoggerFrom(ctx).Error(nil, "Too many kinds disappeared at the same time: rollouts without a release in flight do not report it", "kind", version.Kind)
		}
	}
}

// unserved returns the watched versions that are no longer served, and forgets them.
func (k *Kinds) unserved(ctx context.Context) []schema.GroupVersionKind {
	var unserved []schema.GroupVersionKind
	for kind, version := range k.snapshot() {
		if isServed, err := k.isServed(ctx, version); err == nil && !isServed && k.forget(kind, version) {
			unserved = append(unserved, version)
		}
	}
	return unserved
}

// forget reports whether the kind was watched in that version until now. Two watch errors may report the same version.
func (k *Kinds) forget(kind string, version schema.GroupVersionKind) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watched[kind] != version {
		return false
	}
	delete(k.watched, kind)
	return true
}
