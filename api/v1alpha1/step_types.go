// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Step is one step of a release; exactly one of its fields is set.
//
// +kubebuilder:validation:XValidation:rule="(has(self.setWeight) ? 1 : 0) + (has(self.pause) ? 1 : 0) + (has(self.analysis) ? 1 : 0) + (has(self.setCanaryScale) ? 1 : 0) + (has(self.setHeaderRoute) ? 1 : 0) + (has(self.setMirrorRoute) ? 1 : 0) == 1",message="a step must have exactly one of setCanaryScale, setWeight, setHeaderRoute, setMirrorRoute, pause and analysis: use a separate step for each"
type Step struct {
	// setCanaryScale sets the size of the canary independently of its traffic, until the next setCanaryScale.
	// +optional
	SetCanaryScale *SetCanaryScale `json:"setCanaryScale,omitempty"`

	// setWeight is the canary's share in percent of the traffic of the stable/canary pair. The canary is scaled first. The
	// step is done when the weight is verified on every route.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SetWeight *int32 `json:"setWeight,omitempty"`

	// setHeaderRoute sends matching requests to the canary, independently of the weight.
	// +optional
	SetHeaderRoute *SetHeaderRoute `json:"setHeaderRoute,omitempty"`

	// setMirrorRoute copies requests to the canary. The responses to the copies are discarded.
	// +optional
	SetMirrorRoute *SetMirrorRoute `json:"setMirrorRoute,omitempty"`

	// pause waits for a promote command, or for a time.
	// +optional
	Pause *Pause `json:"pause,omitempty"`

	// analysis waits until metrics have passed. One that fails aborts the release.
	// +optional
	Analysis *AnalysisStep `json:"analysis,omitempty"`
}

// StepKind is the name of the field of a Step that is set.
type StepKind string

// The kinds of steps. StepUnknown is a step with no field that this version knows.
const (
	StepUnknown        StepKind = ""
	StepSetCanaryScale StepKind = "setCanaryScale"
	StepSetWeight      StepKind = "setWeight"
	StepSetHeaderRoute StepKind = "setHeaderRoute"
	StepSetMirrorRoute StepKind = "setMirrorRoute"
	StepPause          StepKind = "pause"
	StepAnalysis       StepKind = "analysis"
)

// Kind returns which field of a step is set.
func (s *Step) Kind() StepKind {
	switch {
	case s.SetCanaryScale != nil:
		return StepSetCanaryScale
	case s.SetWeight != nil:
		return StepSetWeight
	case s.SetHeaderRoute != nil:
		return StepSetHeaderRoute
	case s.SetMirrorRoute != nil:
		return StepSetMirrorRoute
	case s.Pause != nil:
		return StepPause
	case s.Analysis != nil:
		return StepAnalysis
	default:
		return StepUnknown
	}
}

// ScaleMode says whether the weight may raise the size that setCanaryScale sets.
//
// +kubebuilder:validation:Enum=Minimum;Exact
type ScaleMode string

const (
	// ScaleModeMinimum adds pods when the weight needs more.
	ScaleModeMinimum ScaleMode = "Minimum"
	// ScaleModeExact keeps the size, even if the canary then gets more traffic than its share of pods.
	ScaleModeExact ScaleMode = "Exact"
)

// SetCanaryScale sets the size of the canary. Exactly one of replicas, weight and matchTrafficWeight is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.replicas), has(self.weight), has(self.matchTrafficWeight)].filter(set, set).size() == 1",message="setCanaryScale must have exactly one of replicas, weight and matchTrafficWeight"
// +kubebuilder:validation:XValidation:rule="!has(self.mode) || !has(self.matchTrafficWeight)",message="mode has no meaning with matchTrafficWeight, by which the size follows the weight: remove mode"
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

	// matchTrafficWeight ends an earlier setCanaryScale: the size follows the weight again.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self",message="matchTrafficWeight can only be true: otherwise remove it"
	MatchTrafficWeight *bool `json:"matchTrafficWeight,omitempty"`

	// mode says whether the weight may raise this size: Minimum (the default) or Exact.
	// +optional
	Mode ScaleMode `json:"mode,omitempty"`
}

// SetHeaderRoute sends the requests of some clients to the canary, chosen by what the requests contain.
type SetHeaderRoute struct {
	// name identifies the header route. A later step with the same name replaces it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and dashes, for example qa"
	Name string `json:"name,omitempty"`

	// matches select the requests: one of them must match. Without matches, the header route of this name is removed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Matches []RequestMatch `json:"matches,omitempty"`

	// allowNamedRules allows the header route to copy rules that have a name. A policy can be attached to a rule by its name
	// (sectionName), for example an authentication policy. It does not apply to the copy, which has its own name, so matching
	// requests would reach the canary without it. Therefore rules with a name are refused unless this is true (T7).
	// +optional
	AllowNamedRules bool `json:"allowNamedRules,omitempty"`
}

// SetMirrorRoute copies requests to the canary. The client gets the response of the backend that was chosen by weight; the
// responses to the copies are discarded. This is the Gateway API's RequestMirror, an extended feature: if a GatewayClass
// publishes its features without it, the steps that need it are refused.
type SetMirrorRoute struct {
	// percent is the share of the stable/canary pair's requests in percent that is copied. 0 ends an earlier setMirrorRoute.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`
}

// RequestMatch selects requests. All of its fields must match. Their types are those of the Gateway API.
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

// TimeoutAction says what to do when a pause was not ended before its timeout.
//
// +kubebuilder:validation:Enum=Abort;Promote
type TimeoutAction string

const (
	// TimeoutAbort aborts the release.
	TimeoutAbort TimeoutAction = "Abort"
	// TimeoutPromote continues with the next step.
	TimeoutPromote TimeoutAction = "Promote"
)

// Pause holds a release at a step. Without duration and timeout, it lasts until promoted.
//
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(self.onTimeout)",message="timeout and onTimeout must be set together: how long to wait, and whether to Abort or Promote then"
// +kubebuilder:validation:XValidation:rule="!has(self.duration) || !has(self.timeout)",message="duration ends the pause by itself, so it cannot be combined with a timeout: remove one of them"
type Pause struct {
	// duration is how long the pause lasts, for example 10s, 5m or 1h30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 10s, 5m or 1h30m"
	Duration *metav1.Duration `json:"duration,omitempty"`

	// timeout is how long the pause waits to be promoted before onTimeout takes effect.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 10s, 5m or 1h30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// onTimeout says what to do when the timeout has passed.
	// +optional
	OnTimeout TimeoutAction `json:"onTimeout,omitempty"`
}
