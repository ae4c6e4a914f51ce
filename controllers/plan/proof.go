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
