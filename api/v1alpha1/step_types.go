// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Step is one step of a release; exactly one of its fields is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.setCanaryScale), has(self.setWeight), has(self.setHeaderRoute), has(self.setMirrorRoute), has(self.pause)].filter(set, set).size() == 1",message="a step must have exactly one of setCanaryScale, setWeight, setHeaderRoute, setMirrorRoute and pause: make a step of its own for each"
type Step struct {
	// setCanaryScale sizes the canary ahead of its traffic and stays in force until the next setCanaryScale.
	// +optional
	SetCanaryScale *SetCanaryScale `json:"setCanaryScale,omitempty"`

	// setWeight is the share in percent that the canary gets of what the stable/canary pair carries. It brings the
	// pods first, and is done when the weight is verified on every route.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SetWeight *int32 `json:"setWeight,omitempty"`

	// setHeaderRoute sends the requests that match to the canary, whatever the weight.
	// +optional
	SetHeaderRoute *SetHeaderRoute `json:"setHeaderRoute,omitempty"`

	// setMirrorRoute copies requests to the canary, whose answers nobody gets.
	// +optional
	SetMirrorRoute *SetMirrorRoute `json:"setMirrorRoute,omitempty"`

	// pause waits: until promoted, or by the clock.
	// +optional
	Pause *Pause `json:"pause,omitempty"`
}

// ScaleMode says how setCanaryScale and the weight share the decision on the canary's size.
//
// +kubebuilder:validation:Enum=Minimum;Exact
type ScaleMode string

const (
	// ScaleModeMinimum lets a weight that needs more pods bring them.
	ScaleModeMinimum ScaleMode = "Minimum"
	// ScaleModeExact pins the size, even when the canary then gets more traffic than its share of pods.
	ScaleModeExact ScaleMode = "Exact"
)

// SetCanaryScale sizes the canary; exactly one of replicas, weight and matchTrafficWeight is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.replicas), has(self.weight), has(self.matchTrafficWeight)].filter(set, set).size() == 1",message="setCanaryScale must have exactly one of replicas, weight and matchTrafficWeight"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || !has(self.matchTrafficWeight)",message="mode has no meaning with matchTrafficWeight, which gives the size back to the weight: remove mode"
type SetCanaryScale struct {
	// replicas is a number of pods. It may be larger than spec.replicas.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas *int32 `json:"replicas,omitempty"`

	// weight is a percentage of spec.replicas, rounded up.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight *int32 `json:"weight,omitempty"`

	// matchTrafficWeight ends an earlier setCanaryScale: the canary follows the weight again.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self",message="matchTrafficWeight can only be true: leave it out otherwise"
	MatchTrafficWeight *bool `json:"matchTrafficWeight,omitempty"`

	// mode is Minimum (the default) or Exact.
	// +optional
	Mode ScaleMode `json:"mode,omitempty"`
}

// SetHeaderRoute is a named audience of the canary.
type SetHeaderRoute struct {
	// name tells header routes apart; a later step with the same name replaces this one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and dashes, for example qa"
	Name string `json:"name,omitempty"`

	// matches are ORed. Without matches the header route of this name is removed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Matches []RequestMatch `json:"matches,omitempty"`

	// allowNamedRules lets the header route copy rules that have a name. A policy can be attached to such a rule by its
	// name (sectionName), for example a login, and does not hold for the copy, which has a name of its own: requests that
	// match reach the canary without it. So rules with a name are refused unless this is true (T7).
	// +optional
	AllowNamedRules bool `json:"allowNamedRules,omitempty"`
}

// SetMirrorRoute copies requests to the canary. Whoever sent them gets the answer of the pod that they were sent to by
// weight; those to the copies are thrown away. The Gateway API calls it RequestMirror, an extended feature:
// where a GatewayClass publishes its features without it, the steps that need it are refused.
type SetMirrorRoute struct {
	// percent of the requests by the stable/canary pair that are copied. 0 ends an earlier setMirrorRoute.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`
}

// RequestMatch describes requests; what it holds is ANDed. The types are those of the Gateway API.
//
// +kubebuilder:validation:XValidation:rule="has(self.headers) || has(self.queryParams) || has(self.method) || has(self.grpcMethod)",message="a match must have at least one of headers, queryParams, method and grpcMethod: an empty match would send every request to the canary"
type RequestMatch struct {
	// headers are the request headers to match.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1.HTTPHeaderMatch `json:"headers,omitempty"`

	// queryParams are the query parameters to match. HTTPRoutes only.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	QueryParams []gatewayv1.HTTPQueryParamMatch `json:"queryParams,omitempty"`

	// method is the HTTP method to match. HTTPRoutes only.
	// +optional
	Method *gatewayv1.HTTPMethod `json:"method,omitempty"`

	// grpcMethod is the gRPC service and method to match. GRPCRoutes only.
	// +optional
	GRPCMethod *gatewayv1.GRPCMethodMatch `json:"grpcMethod,omitempty"`
}

// TimeoutAction is what becomes of a pause that nobody ended in time.
//
// +kubebuilder:validation:Enum=Abort;Promote
type TimeoutAction string

const (
	// TimeoutAbort aborts the release.
	TimeoutAbort TimeoutAction = "Abort"
	// TimeoutPromote goes on to the next step.
	TimeoutPromote TimeoutAction = "Promote"
)

// Pause holds a release at a step. Empty, it lasts until promoted.
//
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(self.onTimeout)",message="timeout and onTimeout go together: say how long to wait, and whether to Abort or Promote then"
// +kubebuilder:validation:XValidation:rule="!has(self.duration) || !has(self.timeout)",message="duration ends the pause by itself, so a timeout has no meaning beside it: remove one of them"
type Pause struct {
	// duration ends the pause by the clock, for example 10s, 5m or 1h30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 10s, 5m or 1h30m"
	Duration *metav1.Duration `json:"duration,omitempty"`

	// timeout bounds a pause that waits to be promoted.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 10s, 5m or 1h30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// onTimeout says what happens when the timeout has passed.
	// +optional
	OnTimeout TimeoutAction `json:"onTimeout,omitempty"`
}
