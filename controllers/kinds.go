// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

// routeVersions are those that a kind of routes may be served in, the best first. TLSRoute and TCPRoute are v1alpha2 on
// clusters whose Gateway API is older than theirs, or that have its experimental channel.
var routeVersions = []string{"v1", "v1alpha2"}

// routeKinds begins to watch a kind of routes when a rollout first names it: a kind that the cluster does not serve is no
// error until then, and one that is installed later takes no restart. It is safe for concurrent use.
type routeKinds struct {
	mapper meta.RESTMapper
	cache  cache.Informers
	// watch has the controller look at the rollouts of each route of the kind.
	watch func(schema.GroupVersionKind) error

	mu      sync.Mutex
	watched map[string]schema.GroupVersionKind
}

// Resolve implements observe.RouteKinds.
func (k *routeKinds) Resolve(ctx context.Context, kind string) (schema.GroupVersionKind, error) {
	version, err := k.version(kind)
	if err != nil {
		return version, err
	}
	informer, err := k.cache.GetInformer(ctx, observe.New(version), cache.BlockUntilSynced(false))
	if err != nil {
		return version, fmt.Errorf("watch %ss: %w", kind, err)
	}
	if !informer.HasSynced() {
		return version, fmt.Errorf("%ss cannot be read yet; if that lasts, the manager has no right to list and to watch them: "+
			"update its role", kind)
	}
	return version, nil
}

// version is the one that the kind is served and watched in.
func (k *routeKinds) version(kind string) (schema.GroupVersionKind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if version, isWatched := k.watched[kind]; isWatched {
		return version, nil
	}
	mapping, err := k.mapper.RESTMapping(schema.GroupKind{Group: gatewayv1.GroupName, Kind: kind}, routeVersions...)
	if meta.IsNoMatchError(err) {
		return schema.GroupVersionKind{}, fmt.Errorf("the cluster serves no %s: install the Gateway API with it, "+
			"or take it out of spec.traffic.routes", kind)
	}
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("find %s among the kinds of the cluster: %w", kind, err)
	}
	if err := k.watch(mapping.GroupVersionKind); err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("watch %ss: %w", kind, err)
	}
	k.watched[kind] = mapping.GroupVersionKind
	return mapping.GroupVersionKind, nil
}
