// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// endpoints counts the endpoints in a Service's slices by revision, in the order of the revisions' names.
func (s *observation) endpoints(ctx context.Context, service string) ([]plan.Endpoints, error) {
	list := &discoveryv1.EndpointSliceList{}
	err := s.Cache.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingFields{IndexSliceService: service},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	counts := map[string]*plan.Endpoints{}
	for backend, isReady := range readiness(list.Items) {
		of := s.revisionOfPod(backend)
		if counts[of] == nil {
			counts[of] = &plan.Endpoints{Revision: of}
		}
		counts[of].Total++
		if isReady {
			counts[of].Ready++
		}
	}
	var endpoints []plan.Endpoints
	for _, of := range slices.Sorted(maps.Keys(counts)) {
		endpoints = append(endpoints, *counts[of])
	}
	return endpoints, nil
}

// backend is what an endpoint leads to: a pod, or an address when there is no pod to it.
type backend struct{ pod, address string }

// readiness joins the endpoints of a backend. It has several where the Service has two IP families, and for a moment
// when endpoints move from slice to slice; a data plane may use any of them, so it is ready when they all are.
func readiness(of []discoveryv1.EndpointSlice) map[backend]bool {
	ready := map[backend]bool{}
	for i := range of {
		for j := range of[i].Endpoints {
			endpoint := &of[i].Endpoints[j]
			key := backendOf(endpoint)
			before, seen := ready[key]
			ready[key] = isReady(endpoint) && (before || !seen)
		}
	}
	return ready
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

// isReady reads the conditions as the API defines them: an unknown ready is to be taken as true.
func isReady(endpoint *discoveryv1.Endpoint) bool {
	return ptr.Deref(endpoint.Conditions.Ready, true) && !ptr.Deref(endpoint.Conditions.Terminating, false)
}

// revisionOfPod finds the revision of a pod by the ReplicaSet that its name begins with; empty for any other backend.
// The longest name wins. Adopted names can be so long that they are cut to the same; then it is the one that has pods,
// and where two of them do the pod is nobody's, rather than counted for the wrong one.
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
