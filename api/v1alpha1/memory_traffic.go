// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrafficMemory is the target of all routes, and whether it is verified.
type TrafficMemory struct {
	// weight is the canary's share in percent.
	// +optional
	Weight int32 `json:"weight"`
	// headerRoutesActive says whether the routes carry stepTargets.headerRoutes.
	// +optional
	HeaderRoutesActive bool `json:"headerRoutesActive,omitempty"`
	// mirrorPercent is the share of requests in percent that is copied to the canary.
	// +optional
	MirrorPercent int32 `json:"mirrorPercent,omitempty"`
	// maxLoadPercent is the largest share of all requests, copies included, that data planes may still send to the canary.
	// It falls only when a smaller weight and mirror have been verified and have settled (T3).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxLoadPercent int32 `json:"maxLoadPercent,omitempty"`
	// verifiedWeight is the last weight that was verified on all routes.
	// +optional
	VerifiedWeight int32 `json:"verifiedWeight"`
	// verifiedAt is when every route was verified to carry the target (T4); absent while one is not.
	// +optional
	VerifiedAt *metav1.MicroTime `json:"verifiedAt,omitempty"`
	// unverifiedSince is when the target began to wait for verification; absent while it is verified.
	// +optional
	UnverifiedSince *metav1.MicroTime `json:"unverifiedSince,omitempty"`
	// routes say, for each route, which generation first carried the target.
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
	// generation of the route that first carried the target.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// carriedAt is when the controller first observed that.
	// +optional
	CarriedAt *metav1.MicroTime `json:"carriedAt,omitempty"`
	// accepted says that the gateways accepted the target on this route once. What they refuse later is something else.
	// +optional
	Accepted bool `json:"accepted,omitempty"`
}

// ManagedRoute is a route that may carry what the controller writes.
type ManagedRoute struct {
	// kind of the route.
	// +required
	Kind string `json:"kind"`
	// name of the route.
	// +required
	Name string `json:"name"`
	// ruleNames are the names of the rules that may be written. Empty means all rules that name both Services.
	// +optional
	// +listType=set
	RuleNames []string `json:"ruleNames,omitempty"`
	// leaving says that the spec no longer names the route. What was verified before that does not count.
	// +optional
	Leaving bool `json:"leaving,omitempty"`
}

// ServiceMemory is the target of a Service's selector.
type ServiceMemory struct {
	// name of the Service. When spec.traffic names another Service, it replaces this one as soon as that is safe.
	// +optional
	Name string `json:"name,omitempty"`
	// revision that the Service must select; empty while the controller does not manage its selector yet.
	// +optional
	Revision string `json:"revision,omitempty"`
	// selected says that the Service was observed to select the revision. From then on a different selector is an
	// overwrite, which is reverted immediately, and not a move that is still to come (T1).
	// +optional
	Selected bool `json:"selected,omitempty"`
	// narrowed says that the controller has narrowed this Service to one revision before. Until then it may have endpoints
	// of other workloads, which would lose their traffic.
	// +optional
	Narrowed bool `json:"narrowed,omitempty"`
	// readyAt is when enough endpoints of that revision, and of no other, became ready (T2); absent while they are not.
	// +optional
	ReadyAt *metav1.MicroTime `json:"readyAt,omitempty"`
}
