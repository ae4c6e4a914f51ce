// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(corev1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme), gatewayv1.Install(scheme))
}

// watch feeds the gateway's state, and returns once that is complete. The namespace may not exist yet.
func (g *Gateway) watch(ctx context.Context, cfg *rest.Config, namespace string) error {
	all, err := cache.New(cfg, cache.Options{
		Scheme: g.client.Scheme(), DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return err
	}
	routes, err := feed(ctx, all, &gatewayv1.HTTPRoute{}, g.seeRoute, g.missRoute)
	if err != nil {
		return err
	}
	services, err := feed(ctx, all, &corev1.Service{}, g.seeService, g.missService)
	if err != nil {
		return err
	}
	slices, err := feed(ctx, all, &discoveryv1.EndpointSlice{}, g.seeSlice, g.missSlice)
	if err != nil {
		return err
	}
	g.running.Go(func() { _ = all.Start(ctx) }) // it ends with ctx; a failure shows below
	if !toolscache.WaitForCacheSync(ctx.Done(), routes, services, slices) {
		return errors.New("the routes, Services and EndpointSlices could not be listed")
	}
	return nil
}

// feed forwards every event of one kind.
func feed[T client.Object](ctx context.Context, all cache.Cache, kind T, see, miss func(T)) (synced toolscache.InformerSynced, err error) {
	informer, err := all.GetInformer(ctx, kind)
	if err != nil {
		return nil, err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { see(object.(T)) },
		UpdateFunc: func(_, object any) { see(object.(T)) },
		DeleteFunc: func(object any) {
			if unknown, isUnknown := object.(toolscache.DeletedFinalStateUnknown); isUnknown {
				object = unknown.Obj
			}
			miss(object.(T))
		},
	})
	if err != nil {
		return nil, err
	}
	return registration.HasSynced, nil
}
