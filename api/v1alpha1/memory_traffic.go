// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrafficMemory is the target of all routes and the proof of it.
type TrafficMemory struct {
	// weight is the share of the canary in percent.
	// +optional
	Weight int32 `json:"weight"`
	// headerRoutes says whether stepHeaderRoutes are in force.
	// +optional
	HeaderRoutes bool `json:"headerRoutes,omitempty"`
	// mirrorPercent is the part of the requests that are copied to the canary.
	// +optional
	MirrorPercent int32 `json:"mirrorPercent,omitempty"`
	// load is the largest part of all requests, copies included, that data planes may still send to the canary, in
	// percent. It falls only when the proof of a smaller weight and mirror has settled (T3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Load int32 `json:"load,omitempty"`
	// verifiedWeight is the last weight that was verified on all routes.
	// +optional
	VerifiedWeight int32 `json:"verifiedWeight"`
	// verifiedAt is since when every route is proven to carry the target (T4).
	// +optional
	VerifiedAt *metav1.MicroTime `json:"verifiedAt,omitempty"`
	// unverifiedSince is since when the target waits to be proven; absent while it is.
	// +optional
	UnverifiedSince *metav1.MicroTime `json:"unverifiedSince,omitempty"`
	// routes are the first generations that carried the target.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	Routes []RouteMemory `json:"routes,omitempty"`
}

// RouteMemory is when a route first carried the target.
type RouteMemory struct {
	// kind of the route.
	// +required
	Kind string `json:"kind"`
	// name of the route.
	// +required
	Name string `json:"name"`
	// generation is the first that carried the target.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// carriedAt is when that was first seen.
	// +optional
	CarriedAt *metav1.MicroTime `json:"carriedAt,omitempty"`
	// proven says that the gateways accepted the target on this route once, so what they refuse later is not the target.
	// +optional
	Proven bool `json:"proven,omitempty"`
}

// ManagedRoute is a route that may carry what the controller writes.
type ManagedRoute struct {
	// kind of the route.
	// +required
	Kind string `json:"kind"`
	// name of the route.
	// +required
	Name string `json:"name"`
	// ruleNames are the names of the rules that may be written; empty for all that name both Services.
	// +optional
	// +listType=set
	RuleNames []string `json:"ruleNames,omitempty"`
	// leaving says that the spec does not name the route any more. What was proven of it before does not count.
	// +optional
	Leaving bool `json:"leaving,omitempty"`
}

// ServiceMemory is the target of a Service's selector.
type ServiceMemory struct {
	// name of the Service. Another name in spec.traffic is taken over when that is safe.
	// +optional
	Name string `json:"name,omitempty"`
	// revision that the Service is meant to select; empty while its selector is not ours yet.
	// +optional
	Revision string `json:"revision,omitempty"`
	// reached says that the Service was seen to select the revision. From then on another selector is an overwrite, which
	// is repaired at once, and not a move that has to wait (T1).
	// +optional
	Reached bool `json:"reached,omitempty"`
	// narrowed says that this Service selected one revision of the rollout before. Until then it may have the endpoints of
	// other workloads, which lose them when it is narrowed.
	// +optional
	Narrowed bool `json:"narrowed,omitempty"`
	// readyAt is since when enough endpoints of that revision, and of no other, are ready (T2).
	// +optional
	ReadyAt *metav1.MicroTime `json:"readyAt,omitempty"`
}
