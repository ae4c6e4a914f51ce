// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// endpoints counts the endpoints in a Service's slices by revision, sorted by the revisions' names, and names the
// ready ones that belong to none.
func (s *observation) endpoints(ctx context.Context, service *corev1.Service) (counted []plan.Endpoints, others []string, err error) {
	list := &discoveryv1.EndpointSliceList{}
	err = s.Cache.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingFields{IndexSliceService: service.Name},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, nil, err
	}
	counts := map[string]*plan.Endpoints{}
	for backend, state := range s.states(service, list.Items) {
		of := s.revisionOfPod(backend)
		if counts[of] == nil {
			counts[of] = &plan.Endpoints{Revision: of}
		}
		counts[of].Total++
		if of == "" && state.ready {
			others = append(others, cmp.Or(backend.pod, backend.address))
		}
		switch {
		case state.ready && state.lacks == "":
			counts[of].Ready++
		case state.ready:
			counts[of].LacksPort = max(counts[of].LacksPort, state.lacks) // any one of them, but always the same
		}
	}
	for _, of := range slices.Sorted(maps.Keys(counts)) {
		counted = append(counted, s.seenThrough(service, *counts[of]))
	}
	slices.Sort(others)
	return counted, others, nil
}

// seenThrough limits the ready endpoints of a revision to its ReplicaSet's ready pods if the Service publishes every
// pod as ready.
func (s *observation) seenThrough(service *corev1.Service, endpoints plan.Endpoints) plan.Endpoints {
	if replicaSet := s.owner(endpoints.Revision); service.Spec.PublishNotReadyAddresses && replicaSet != nil {
		endpoints.Ready = min(endpoints.Ready, count(replicaSet, "status", "readyReplicas"))
	}
	return endpoints
}

// backend identifies the target of an endpoint: a pod, or an address if there is no pod.
type backend struct{ pod, address string }

// state is the combined state of a backend's endpoints.
type state struct {
	ready bool
	// lacks says which port the backend does not serve; empty if it serves all ports that the routes use.
	lacks string
}

// states merges the endpoints of each backend. A backend has several if the Service has two IP families, and briefly
// while endpoints move between slices. A data plane may use any of them, so a backend is ready only if all of them
// are, and serves only the ports that all of them have.
func (s *observation) states(service *corev1.Service, of []discoveryv1.EndpointSlice) map[backend]state {
	states := map[backend]state{}
	for i := range of {
		lacks := lackingPort(service, s.ports[service.Name], &of[i])
		for j := range of[i].Endpoints {
			endpoint := &of[i].Endpoints[j]
			key := backendOf(endpoint)
			before, seen := states[key]
			states[key] = state{ready: isReady(endpoint) && (before.ready || !seen), lacks: max(before.lacks, lacks)}
		}
	}
	return states
}

// lackingPort says which of the ports that the routes use is missing from a slice: the Service has no such port, or
// its targetPort is a name that no container port of the pods has. Such pods stay endpoints, but no request reaches
// them. A port with a numeric target is in every up-to-date slice.
func lackingPort(service *corev1.Service, used []int32, slice *discoveryv1.EndpointSlice) string {
	for _, number := range used {
		port := servicePort(service, number)
		if port == nil {
			return fmt.Sprintf("Service %s has no port %d, which a route uses: add it, or correct the backendRef", service.Name, number)
		}
		isIn := func(in discoveryv1.EndpointPort) bool { return ptr.Deref(in.Name, "") == port.Name }
		switch {
		case slices.ContainsFunc(slice.Ports, isIn):
		case port.TargetPort.Type == intstr.Int:
			return fmt.Sprintf("port %d of Service %s is not yet in EndpointSlice %s: it takes a moment after a change of the "+
				"Service; if it persists, check what writes the EndpointSlices", number, service.Name, slice.Name)
		default:
			return fmt.Sprintf("port %d of Service %s leads to a container port named %s, which the pods do not have: "+
				"give a container port that name in spec.template, or change the targetPort", number, service.Name, port.TargetPort.String())
		}
	}
	return ""
}

// servicePort returns the port with a number. A Service may have the same number for TCP and for UDP; routes send TCP.
func servicePort(service *corev1.Service, number int32) (found *corev1.ServicePort) {
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.Port != number {
			continue
		}
		if cmp.Or(port.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP {
			return port
		}
		found = cmp.Or(found, port)
	}
	return found
}

func backendOf(endpoint *discoveryv1.Endpoint) backend {
	if ref := endpoint.TargetRef; ref != nil && ref.Kind == "Pod" {
		return backend{pod: ref.Name}
	}
	if len(endpoint.Addresses) > 0 {
		return backend{address: endpoint.Addresses[0]}
	}
	return backend{}
}

// isReady evaluates the conditions as the API defines them: an unknown ready condition counts as true.
func isReady(endpoint *discoveryv1.Endpoint) bool {
	return ptr.Deref(endpoint.Conditions.Ready, true) && !ptr.Deref(endpoint.Conditions.Terminating, false)
}

// revisionOfPod returns the revision of the ReplicaSet whose name the pod's name begins with; empty for any other
// backend. The longest name wins. Adopted names can be so long that they are truncated to the same prefix. Then the
// ReplicaSet that has pods wins; if several have, the pod counts for none rather than for the wrong one.
func (s *observation) revisionOfPod(of backend) string {
	owners := slices.Collect(func(yield func(*unstructured.Unstructured) bool) {
		for _, replicaSet := range slices.Concat(s.all, s.orphans) {
			if of.pod != "" && revision.OwnsPod(replicaSet.GetName(), of.pod) && !yield(replicaSet) {
				return
			}
		}
	})
	if len(owners) > 1 {
		owners = likeliest(owners)
	}
	if len(owners) != 1 {
		return ""
	}
	return revisionOf(owners[0])
}

func likeliest(owners []*unstructured.Unstructured) []*unstructured.Unstructured {
	longest := slices.MaxFunc(owners, func(a, b *unstructured.Unstructured) int {
		return cmp.Compare(prefixLength(a), prefixLength(b))
	})
	return slices.DeleteFunc(owners, func(replicaSet *unstructured.Unstructured) bool {
		return prefixLength(replicaSet) < prefixLength(longest) || count(replicaSet, "status", "replicas") == 0
	})
}

func prefixLength(replicaSet *unstructured.Unstructured) int {
	return len(revision.PodPrefix(replicaSet.GetName()))
}
