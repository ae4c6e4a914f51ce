// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// backends are the Services and EndpointSlices as the data path currently uses them.
type backends struct {
	services map[types.NamespacedName]*corev1.Service
	slices   endpointSlices
	// written are the slices as currently stored in the API server.
	written endpointSlices
	// losesAtOnce removes an endpoint as soon as no slice contains it.
	losesAtOnce bool
}

type endpointSlices map[types.NamespacedName]*discoveryv1.EndpointSlice

func newBackends() *backends {
	return &backends{services: map[types.NamespacedName]*corev1.Service{}, slices: endpointSlices{}, written: endpointSlices{}}
}

// A problem is why a backendRef cannot be resolved.
type problem struct {
	reason  gatewayv1.RouteConditionReason
	message string
}

// resolve returns the addresses of the ready endpoints behind a reference. A Service may have none.
func (b *backends) resolve(ref gatewayv1.BackendObjectReference, namespace string) ([]string, *problem) {
	if group, kind := ptr.Deref(ref.Group, ""), ptr.Deref(ref.Kind, "Service"); group != "" || kind != "Service" {
		return nil, &problem{gatewayv1.RouteReasonInvalidKind, fmt.Sprintf("kind %s of group %q is not known", kind, group)}
	}
	if other := string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(namespace))); other != namespace {
		return nil, &problem{gatewayv1.RouteReasonRefNotPermitted, fmt.Sprintf("Service %s/%s is in another namespace", other, ref.Name)}
	}
	service := b.services[types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}]
	if service == nil {
		return nil, &problem{gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("Service %s does not exist", ref.Name)}
	}
	number := ptr.Deref(ref.Port, 0)
	at := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == number })
	if at < 0 {
		return nil, &problem{gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("Service %s has no port %d", ref.Name, number)}
	}
	addresses := b.slices.ready(service, service.Spec.Ports[at].Name)
	if b.losesAtOnce {
		living := b.written.ready(service, service.Spec.Ports[at].Name)
		addresses = slices.DeleteFunc(addresses, func(address string) bool { return !slices.Contains(living, address) })
	}
	return addresses, nil
}

// ready returns the addresses of ready endpoints in a deterministic order.
func (all endpointSlices) ready(service *corev1.Service, port string) []string {
	addresses := map[string]bool{} // an endpoint may be in two slices for a while
	for _, slice := range all {
		if slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			continue
		}
		for _, number := range portsOf(slice, port) {
			for _, endpoint := range slice.Endpoints {
				if ptr.Deref(endpoint.Conditions.Ready, true) && len(endpoint.Addresses) > 0 {
					addresses[net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(number)))] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(addresses))
}

func portsOf(slice *discoveryv1.EndpointSlice, name string) (numbers []int32) {
	for _, port := range slice.Ports {
		if ptr.Deref(port.Name, "") == name && port.Port != nil {
			numbers = append(numbers, *port.Port)
		}
	}
	return numbers
}
