// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Behaviour is how a gateway deviates from what the Gateway API says. [Gateway.Behave] changes it at any time. But for the
// two lags it is about what is reported: what is routed is right all the time.
type Behaviour struct {
	// StatusLag is how late a new generation is taken up: routed and reported.
	StatusLag time.Duration
	// Silent reports nothing. What was reported before stays.
	Silent bool
	// Behind reports each generation as the one before it.
	Behind bool
	// Generations is how observedGeneration is written.
	Generations Generations
	// Refusals are what single Gateways do not like, by their name.
	Refusals map[string]Refusal
	// NoMirrors does not like routes that copy requests.
	NoMirrors bool
	// PartiallyInvalid says that some rules were dropped, of a route that is accepted.
	PartiallyInvalid bool
	// Second is what another controller says for the same parents.
	Second Second
	// Flap turns Accepted to False and back again, each time after so long, beginning with False.
	Flap time.Duration
	// Leftovers leaves the entry of a Gateway that the route does not name any more, and that refused it.
	Leftovers bool

	// RouteLag is how much later a change of a route is routed than reported.
	RouteLag time.Duration
	// EndpointLag is how much later an EndpointSlice is followed than it was written.
	EndpointLag time.Duration
	// EndpointsGoAtOnce has only those come late that are new: a Service that was pointed at other pods has none for a
	// while, as behind GKE's load balancers (argo-rollouts#4710).
	EndpointsGoAtOnce bool
}

// Generations is how a gateway writes observedGeneration.
type Generations int

const (
	// GenerationsWritten is as it should be.
	GenerationsWritten Generations = iota
	// GenerationsMissing leaves the field out, as Linkerd does.
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

// Second is what a second controller says for the same parents.
type Second int

const (
	// SecondAbsent is that there is none.
	SecondAbsent Second = iota
	// SecondAgrees accepts what the first one accepts.
	SecondAgrees
	// SecondRefuses accepts nothing.
	SecondRefuses
)

// clone keeps the caller's later changes out.
func (b Behaviour) clone() Behaviour {
	b.Refusals = maps.Clone(b.Refusals)
	return b
}
