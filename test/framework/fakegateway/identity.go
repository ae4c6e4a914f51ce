// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// listenerName is the name of the single listener of each Gateway.
const listenerName = "http"

// An identity defines which Gateway objects a gateway implements.
type identity struct {
	namespace string
	names     []string
	port      int
	// others are parents of other kinds, with all fields set.
	others []gatewayv1.ParentReference
}

// owns reports whether a reference from a route in the namespace names one of our Gateways, or one of our other parents.
func (i identity) owns(ref gatewayv1.ParentReference, namespace string) bool {
	if slices.ContainsFunc(i.others, func(other gatewayv1.ParentReference) bool { return equality.Semantic.DeepEqual(other, ref) }) {
		return true
	}
	if ptr.Deref(ref.Group, gatewayv1.GroupName) != gatewayv1.GroupName || ptr.Deref(ref.Kind, "Gateway") != "Gateway" ||
		string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(namespace))) != i.namespace {
		return false
	}
	return slices.Contains(i.names, string(ref.Name))
}

func (i identity) hasListener(ref gatewayv1.ParentReference) bool {
	return ptr.Deref(ref.SectionName, listenerName) == listenerName && int(ptr.Deref(ref.Port, gatewayv1.PortNumber(i.port))) == i.port
}

// attaches reports whether the data path serves a route: one of its parents is ours, and the route is not refused.
func (i identity) attaches(route *gatewayv1.HTTPRoute) bool {
	if route == nil || refusalOf(route) != nil {
		return false
	}
	for _, ref := range route.Spec.ParentRefs {
		if i.owns(ref, route.Namespace) && i.hasListener(ref) {
			return true
		}
	}
	return false
}
