// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// unversionedWait is how long a weight has to stand before it is believed of a gateway that accepts the route but
// never says which generation it means (T4). Conformance tests of the Gateway API allow 30 s for convergence.
const unversionedWait = 30 * time.Second

// prove finds out whether every route is verified to carry the target (T4).
func (p *pass) prove() {
	traffic := &p.mem.Traffic
	traffic.Routes = nil
	p.proven = map[[2]string]bool{}
	proven := len(p.in.Observed.Routes) > 0
	for _, route := range p.in.Observed.Routes {
		if p.isOutOfReach(route) {
			continue
		}
		if !p.carries(route) || p.hasJustLeft(route) {
			proven = false
			p.waitToWrite(route)
			continue
		}
		record := p.firstCarried(route)
		isProven := p.verified(route, record)
		record.Accepted = record.Accepted || isProven
		traffic.Routes = append(traffic.Routes, record)
		p.proven[[2]string{route.Kind, route.Name}] = isProven
		proven = proven && isProven
	}
	proven = proven && p.measured()
	if !proven {
		traffic.VerifiedAt = nil
		p.waitsForProof()
		return
	}
	if traffic.VerifiedAt == nil {
		traffic.VerifiedAt = p.now()
	}
	traffic.VerifiedWeight, traffic.UnverifiedSince = traffic.Weight, nil
}

// waitToWrite says why a route does not carry the target, if something is wrong with it that nothing else tells.
func (p *pass) waitToWrite(route Route) {
	switch {
	case route.Leaving && route.Problem != nil:
		p.waitTraffic("it is not in spec.traffic any more, and still sends requests to the canary Service: " + route.Problem.Message)
	case !p.canExpress(route):
		p.waitForRoute(route, fmt.Sprintf("cannot carry %d %%: the weights of a rule that has other backends too are too coarse for it", p.mem.Traffic.Weight))
	}
}

// firstCarried finds the generation that first carried the target: a shared route may have been changed by others
// since, and a gateway that took any generation from that one on has taken the target.
func (p *pass) firstCarried(route Route) v1alpha1.RouteMemory {
	record := recordOf(p.prior.Traffic.Routes, route)
	// A route that was deleted and created again counts its generations from 1.
	if record != nil && record.Generation <= route.Generation && record.CarriedAt != nil {
		return *record
	}
	return v1alpha1.RouteMemory{Kind: route.Kind, Name: route.Name, Generation: route.Generation, CarriedAt: p.now()}
}

// verified takes the word of every parent that says which generation it means, and time from one that never does.
func (p *pass) verified(route Route, record v1alpha1.RouteMemory) bool {
	believed := record.CarriedAt.Add(unversionedWait)
	switch {
	case route.AcceptedGeneration < record.Generation && (!route.Unversioned || route.AcceptedGeneration > 0):
		p.waitForRoute(route, "is not verified: "+route.Pending)
		return false
	case route.Unversioned && !p.reached(believed):
		p.waitForRoute(route, "is accepted by a gateway that does not say for which generation: the weight is believed at "+clock(believed))
		return false
	default:
		return true
	}
}

// isVerified says that the target in memory is proven on every route.
func (p *pass) isVerified() bool { return p.mem.Traffic.VerifiedAt != nil }

// isProven is isVerified for a pass that has to wait for it.
func (p *pass) isProven() bool {
	if !p.isVerified() {
		p.wait("%s", p.trafficWait())
	}
	return p.isVerified()
}

// isSettled says that the proof is old enough for data planes that lag behind what they report.
func (p *pass) isSettled() bool {
	if !p.isProven() {
		return false
	}
	settled := p.mem.Traffic.VerifiedAt.Add(p.spec.settle)
	if !p.reached(settled) {
		p.wait("weight %d is verified and settles until %s", p.mem.Traffic.Weight, clock(settled))
		return false
	}
	return true
}

// waitsForProof notes since when the target is not proven. A first deploy that has not touched its routes waits for none.
func (p *pass) waitsForProof() {
	switch traffic := &p.mem.Traffic; {
	case !p.isManaging():
		traffic.UnverifiedSince = nil
	case traffic.UnverifiedSince == nil:
		traffic.UnverifiedSince = p.now()
	}
}

// keepVerifyTimeout never lets a weight that is not verified pass in silence (T4): after a while the rollout says that it
// is stuck, or aborts, as the user wants it. What is wrong with a route itself has a reason of its own.
func (p *pass) keepVerifyTimeout() {
	since, timeout := p.mem.Traffic.UnverifiedSince, p.verifyTimeout()
	if since == nil || p.problem() != nil || !p.reached(since.Add(timeout)) {
		return
	}
	weight, wait := p.mem.Traffic.Weight, p.trafficWait()
	if p.in.Spec.Traffic.OnVerifyTimeout == v1alpha1.VerifyTimeoutAbort && p.mem.Command == nil && p.mayAbort() {
		p.abort(fmt.Sprintf("weight %d was not verified within %s", weight, timeout))
		return
	}
	p.stall(p.unverifiedReason(), "weight %d is not verified after %s: %s", weight, timeout, wait)
}

// unverifiedReason tells a route that nothing serves from one that a gateway has not taken yet.
func (p *pass) unverifiedReason() string {
	if slices.ContainsFunc(p.in.Observed.Routes, func(route Route) bool { return route.Orphaned }) {
		return v1alpha1.ReasonRouteWithoutParent
	}
	return v1alpha1.ReasonRouteNotVerified
}

// verifyTimeout is never shorter than a weight takes to be believed of a gateway that names no generation.
func (p *pass) verifyTimeout() time.Duration {
	for _, route := range p.in.Observed.Routes {
		if route.Unversioned {
			return max(p.spec.verifyTimeout, unversionedWait)
		}
	}
	return p.spec.verifyTimeout
}

// reportRoutes tells of each route what is wanted and what was last proven of it.
func (p *pass) reportRoutes(status *v1alpha1.TrafficStatus) {
	for _, route := range p.in.Observed.Routes {
		told := v1alpha1.RouteStatus{Kind: route.Kind, Name: route.Name, DesiredWeight: p.mem.Traffic.Weight}
		if p.isHandedBack(route) {
			told.DesiredWeight = 0
		}
		if before := p.told(route); before != nil {
			told.VerifiedWeight = before.VerifiedWeight
		}
		switch isProven := p.proven[[2]string{route.Kind, route.Name}]; {
		case isProven && p.mem.Traffic.Weight == p.prior.Traffic.Weight:
			told.VerifiedWeight = ptr.To(told.DesiredWeight)
		case p.isManaging():
			told.Pending = route.Pending
		}
		status.Routes = append(status.Routes, told)
	}
}

// told is what the prior status told of a route; nil if nothing.
func (p *pass) told(route Route) *v1alpha1.RouteStatus {
	if p.in.Prior.Traffic == nil {
		return nil
	}
	for i := range p.in.Prior.Traffic.Routes {
		if told := &p.in.Prior.Traffic.Routes[i]; told.Kind == route.Kind && told.Name == route.Name {
			return told
		}
	}
	return nil
}

// recordOf is what is remembered of a route that carried the target; nil if it never did.
func recordOf(records []v1alpha1.RouteMemory, route Route) *v1alpha1.RouteMemory {
	for i := range records {
		if records[i].Kind == route.Kind && records[i].Name == route.Name {
			return &records[i]
		}
	}
	return nil
}
