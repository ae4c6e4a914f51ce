// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"maps"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Behaviour is how a gateway deviates from the Gateway API. [Gateway.Behave] changes it at any time. Except for the
// two lags it only affects what is reported: routing is always correct.
type Behaviour struct {
	// StatusLag is how late a new generation is processed: routed and reported.
	StatusLag time.Duration
	// Silent reports nothing. Earlier reports stay.
	Silent bool
	// Behind reports the previous generation instead of the current one.
	Behind bool
	// Generations is how observedGeneration is written.
	Generations Generations
	// Refusals are the conditions that single Gateways set to False, by name of the Gateway.
	Refusals map[string]Refusal
	// NoMirrors refuses routes that mirror requests.
	NoMirrors bool
	// PartiallyInvalid accepts a route but reports that some of its rules were dropped.
	PartiallyInvalid bool
	// Second is what another controller reports for the same parents.
	Second Second
	// Flap toggles Accepted between False and True with this interval, starting with False.
	Flap time.Duration
	// Leftovers keeps the entry of a Gateway that refused the route and that the route no longer names.
	Leftovers bool

	// RouteLag is how long after the report a change of a route is routed.
	RouteLag time.Duration
	// EndpointLag is how long after the write an EndpointSlice is used.
	EndpointLag time.Duration
	// EndpointsGoAtOnce delays only new endpoints: a Service that was pointed at other pods has none for a while, as
	// behind GKE's load balancers (argo-rollouts#4710).
	EndpointsGoAtOnce bool
}

// Generations is how a gateway writes observedGeneration.
type Generations int

const (
	// GenerationsWritten is the correct behaviour.
	GenerationsWritten Generations = iota
	// GenerationsMissing omits the field, as Linkerd does.
	GenerationsMissing
	// GenerationsZero writes 0, as APISIX did.
	GenerationsZero
)

// Refusal is a condition that is False.
type Refusal struct {
	Condition gatewayv1.RouteConditionType
	Reason    gatewayv1.RouteConditionReason
	Message   string
}

// Second is what a second controller reports for the same parents.
type Second int

const (
	// SecondAbsent means that there is no second controller.
	SecondAbsent Second = iota
	// SecondAgrees accepts what the first controller accepts.
	SecondAgrees
	// SecondRefuses accepts nothing.
	SecondRefuses
)

// clone protects against later changes by the caller.
func (b Behaviour) clone() Behaviour {
	b.Refusals = maps.Clone(b.Refusals)
	return b
}
