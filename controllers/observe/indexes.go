// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The indexes that passes and watches use for lookups.
const (
	// IndexService finds rollouts by the names of their two Services.
	IndexService = "spec.traffic.services"
	// IndexRoute finds rollouts by the names of their routes.
	IndexRoute = "spec.traffic.routes"
	// IndexMetric finds rollouts by the CanaryMetrics that they refer to.
	IndexMetric = "spec.metricRefs"
	// IndexRollout finds ReplicaSets by the name of the rollout in our label.
	IndexRollout = "metadata.rollout"
	// IndexOwner finds ReplicaSets by the UID of their controller.
	IndexOwner = "metadata.controller"
	// IndexSliceService finds EndpointSlices by the name of their Service.
	IndexSliceService = "metadata.service"
)

// Index is one index of the cache.
type Index struct {
	Object client.Object
	Field  string
	Values client.IndexerFunc
}

// Indexes returns the indexes that Observer and the watches need.
func Indexes() []Index {
	return []Index{
		{&Rollout{}, IndexService, ServicesOf},
		{&Rollout{}, IndexRoute, routeNames},
		{&Rollout{}, IndexMetric, metricKeys},
		{New(ReplicaSetKind), IndexOwner, ownerUID},
		{New(ReplicaSetKind), IndexRollout, rolloutName},
		{&discoveryv1.EndpointSlice{}, IndexSliceService, sliceService},
	}
}

// ServicesOf returns the names of a rollout's Services: those in its spec, and those that it has written and not
// handed back yet.
func ServicesOf(object client.Object) []string {
	traffic, memory := namesOf(object)
	return distinct(append([]string{
		traffic.StableService, traffic.CanaryService, memory.StableService.Name, memory.CanaryService.Name,
	}, memory.LeavingServices...))
}

func routeNames(object client.Object) []string {
	var names []string
	traffic, memory := namesOf(object)
	for _, route := range traffic.Routes {
		names = append(names, route.Name)
	}
	for _, route := range memory.Routes {
		names = append(names, route.Name)
	}
	return distinct(names)
}

// namesOf returns the two parts of a rollout that name other objects.
func namesOf(object client.Object) (*v1alpha1.Traffic, *v1alpha1.Memory) {
	rollout, isRollout := object.(*Rollout)
	switch {
	case !isRollout:
		return &v1alpha1.Traffic{}, &v1alpha1.Memory{}
	case rollout.Status.Memory == nil:
		return &rollout.Spec.Traffic, &v1alpha1.Memory{}
	}
	return &rollout.Spec.Traffic, rollout.Status.Memory
}

// distinct returns the names sorted, without duplicates and empty ones.
func distinct(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	slices.Sort(names)
	return slices.Compact(names)
}

func ownerUID(object client.Object) []string {
	if owner := metav1.GetControllerOf(object); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

func rolloutName(object client.Object) []string {
	return []string{object.GetLabels()[v1alpha1.RolloutLabel]}
}

func sliceService(object client.Object) []string {
	return []string{object.GetLabels()[discoveryv1.LabelServiceName]}
}

// StripService is a cache transform that keeps only what Observer reads of a Service.
func StripService(object any) (any, error) {
	service, isService := object.(*corev1.Service)
	if !isService {
		return object, nil
	}
	stripped := &corev1.Service{
		TypeMeta: service.TypeMeta, ObjectMeta: strippedMeta(service.ObjectMeta),
		Spec: corev1.ServiceSpec{
			Selector: service.Spec.Selector, Type: service.Spec.Type,
			PublishNotReadyAddresses: service.Spec.PublishNotReadyAddresses,
		},
	}
	for _, port := range service.Spec.Ports {
		stripped.Spec.Ports = append(stripped.Spec.Ports, corev1.ServicePort{
			Name: port.Name, Protocol: port.Protocol, Port: port.Port, TargetPort: port.TargetPort,
		})
	}
	stripped.ManagedFields = fieldManagerEntry(service, "f:selector")
	return stripped, nil
}

// StripEndpointSlice is a cache transform that keeps the names of the ports, and the target and the conditions of
// each endpoint.
func StripEndpointSlice(object any) (any, error) {
	slice, isSlice := object.(*discoveryv1.EndpointSlice)
	if !isSlice {
		return object, nil
	}
	stripped := &discoveryv1.EndpointSlice{
		TypeMeta: slice.TypeMeta, ObjectMeta: strippedMeta(slice.ObjectMeta),
		Endpoints: make([]discoveryv1.Endpoint, len(slice.Endpoints)),
	}
	stripped.Labels = map[string]string{discoveryv1.LabelServiceName: slice.Labels[discoveryv1.LabelServiceName]}
	for _, port := range slice.Ports {
		stripped.Ports = append(stripped.Ports, discoveryv1.EndpointPort{Name: port.Name})
	}
	for i, endpoint := range slice.Endpoints {
		stripped.Endpoints[i] = strippedEndpoint(endpoint)
	}
	return stripped, nil
}

// strippedEndpoint keeps the addresses only if the endpoint has no target reference.
func strippedEndpoint(endpoint discoveryv1.Endpoint) discoveryv1.Endpoint {
	stripped := discoveryv1.Endpoint{Conditions: endpoint.Conditions}
	if ref := endpoint.TargetRef; ref != nil {
		stripped.TargetRef = &corev1.ObjectReference{Kind: ref.Kind, Name: ref.Name}
		return stripped
	}
	stripped.Addresses = endpoint.Addresses
	return stripped
}

func strippedMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID,
		ResourceVersion: meta.ResourceVersion, Generation: meta.Generation,
		CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp,
	}
}
