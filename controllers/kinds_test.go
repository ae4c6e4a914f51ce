// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

// TestRouteKinds: a kind of routes is watched once a rollout names it, in the best version that is served, and one that
// is installed later is found without a restart.
func TestRouteKinds(t *testing.T) {
	v1, alpha := schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1"}, schema.GroupVersion{Group: gatewayv1.GroupName, Version: "v1alpha2"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{alpha, v1})
	mapper.Add(alpha.WithKind("TCPRoute"), meta.RESTScopeNamespace)
	mapper.Add(alpha.WithKind("GRPCRoute"), meta.RESTScopeNamespace)
	mapper.Add(v1.WithKind("GRPCRoute"), meta.RESTScopeNamespace)
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	synced := true
	informers := &informertest.FakeInformers{Scheme: scheme, Synced: &synced}
	var watched []string
	var refusal error
	kinds := &routeKinds{
		mapper: mapper, cache: informers, watched: map[string]schema.GroupVersionKind{"HTTPRoute": observe.HTTPRouteKind},
		watch: func(kind schema.GroupVersionKind) error {
			watched = append(watched, kind.Version+" "+kind.Kind)
			return refusal
		},
	}
	resolve := func(kind, version, message string) {
		t.Helper()
		got, err := kinds.Resolve(t.Context(), kind)
		if message == "" && (err != nil || got.Version != version || got.Kind != kind) {
			t.Errorf("%s is %s, %v", kind, got, err)
		}
		if message != "" && (err == nil || !strings.Contains(err.Error(), message)) {
			t.Errorf("%s: %v, want %q", kind, err, message)
		}
	}
	resolve("HTTPRoute", "v1", "")
	resolve("TCPRoute", "v1alpha2", "")
	resolve("TCPRoute", "v1alpha2", "")
	resolve("GRPCRoute", "v1", "")
	resolve("TLSRoute", "", "the cluster serves no TLSRoute: install the Gateway API with it")
	mapper.Add(v1.WithKind("TLSRoute"), meta.RESTScopeNamespace)
	refusal = errors.New("the manager ends")
	resolve("TLSRoute", "", "watch TLSRoutes: the manager ends")
	refusal = nil
	resolve("TLSRoute", "v1", "")
	if diff := cmp.Diff([]string{"v1alpha2 TCPRoute", "v1 GRPCRoute", "v1 TLSRoute", "v1 TLSRoute"}, watched); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}
