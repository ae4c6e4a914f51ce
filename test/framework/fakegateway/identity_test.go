// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestOwns: a reference without a namespace means a Gateway in the namespace of the route.
func TestOwns(t *testing.T) {
	i := identity{namespace: "default", names: []string{"one"}}
	for _, tc := range []struct {
		ref   gatewayv1.ParentReference
		route string
		want  bool
	}{
		{gatewayv1.ParentReference{Name: "one"}, "default", true},
		{gatewayv1.ParentReference{Name: "one"}, "shop", false},
		{gatewayv1.ParentReference{Name: "one", Namespace: ptr.To[gatewayv1.Namespace]("default")}, "shop", true},
		{gatewayv1.ParentReference{Name: "one", Namespace: ptr.To[gatewayv1.Namespace]("shop")}, "default", false},
		{gatewayv1.ParentReference{Name: "two"}, "default", false},
		{gatewayv1.ParentReference{Name: "one", Kind: ptr.To[gatewayv1.Kind]("Service")}, "default", false},
	} {
		if got := i.owns(tc.ref, tc.route); got != tc.want {
			t.Errorf("%+v in a route in %s: %t", tc.ref, tc.route, got)
		}
	}
}
