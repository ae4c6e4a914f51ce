// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// What spec.traffic names may change at any time. Memory knows by name what was written, so that what leaves the spec is
// handed back: a route at once, by weight 0 that is verified and settled; a Service when nothing is in flight.

// nameServices remembers the names of the spec where memory has none: at the beginning, and in a memory of a version that
// kept none.
func (p *pass) nameServices() {
	p.mem.StableService.Name = cmp.Or(p.mem.StableService.Name, p.in.Spec.Traffic.StableService)
	p.mem.CanaryService.Name = cmp.Or(p.mem.CanaryService.Name, p.in.Spec.Traffic.CanaryService)
}

// renameServices takes over the names of the spec, and says whether it did. Under way that could move a Service that carries
// traffic, so it waits until both select the stable revision: whatever the weights are then, requests reach that. Names of
// which nothing was written are taken over at once.
func (p *pass) renameServices() bool {
	traffic, stable, canary := p.in.Spec.Traffic, &p.mem.StableService, &p.mem.CanaryService
	if stable.Name == traffic.StableService && canary.Name == traffic.CanaryService {
		return false
	}
	if !p.mayRename() {
		p.pend("spec.traffic names the Services %s and %s: they take the place of %s and %s when nothing is in flight and those select the stable revision",
			traffic.StableService, traffic.CanaryService, stable.Name, canary.Name)
		return false
	}
	kept := []string{traffic.StableService, traffic.CanaryService}
	for _, service := range []Service{p.in.Observed.Stable, p.in.Observed.Canary} {
		if service.Found && service.Problem == nil && service.Revision != "" && !slices.Contains(kept, service.Name) {
			p.mem.LeavingServices = append(p.mem.LeavingServices, service.Name)
		}
	}
	p.mem.LeavingServices = slices.DeleteFunc(p.mem.LeavingServices, func(name string) bool { return slices.Contains(kept, name) })
	p.rename(stable, traffic.StableService)
	p.rename(canary, traffic.CanaryService)
	p.voidProof()
	p.pend("the Services %s and %s take their place", stable.Name, canary.Name)
	return true
}

// rename lets the endpoints of the other Service settle again, but for one that takes the place of a missing one in mid
// release: that is pointed at its revision at once.
func (p *pass) rename(memory *v1alpha1.ServiceMemory, name string) {
	if memory.Name == name {
		return
	}
	memory.Name, memory.Narrowed = name, false
	if p.mem.Phase == v1alpha1.PhaseIdle {
		memory.ReadyAt = nil
	}
}

func (p *pass) mayRename() bool {
	traffic, stable, canary := p.in.Spec.Traffic, p.mem.StableService, p.mem.CanaryService
	isAtRest := func(service Service) bool {
		return !service.Found || service.Problem != nil ||
			service.Revision == p.mem.StableRevision && !servesOther(service, p.mem.StableRevision)
	}
	if p.mem.Phase == v1alpha1.PhaseIdle && !ReachesCanary(p.mem.Traffic) && isAtRest(p.in.Observed.Stable) && isAtRest(p.in.Observed.Canary) {
		return true
	}
	isUnused := func(service Service, memory v1alpha1.ServiceMemory) bool {
		return !service.Found || memory.Revision == ""
	}
	isCrossing := traffic.StableService == canary.Name || traffic.CanaryService == stable.Name
	return !isCrossing &&
		(traffic.StableService == stable.Name || isUnused(p.in.Observed.Stable, stable)) &&
		(traffic.CanaryService == canary.Name || isUnused(p.in.Observed.Canary, canary))
}

// handBackServices takes the hash out of the selectors of Services that left the spec, as a deletion does: only while the
// stable revision alone has pods, so that no endpoint changes.
func (p *pass) handBackServices() {
	p.mem.LeavingServices = nil
	for _, service := range p.in.Observed.Leaving {
		if !service.Found || service.Problem != nil || service.Revision == "" {
			continue
		}
		p.mem.LeavingServices = append(p.mem.LeavingServices, service.Name)
		p.pend("Service %s is not in spec.traffic any more: its selector is restored when no other revision has pods", service.Name)
		switch stable := p.prior.StableRevision; {
		case p.prior.Phase != v1alpha1.PhaseIdle:
		case service.Revision != stable && p.replicaSet(stable).Ready == 0:
		case service.Revision != stable:
			p.act(PointService{Reason: "it leaves the rollout with the stable revision", Name: service.Name, Revision: stable})
		case !p.hasOtherPods():
			p.act(PointService{Reason: "it is not in spec.traffic any more: the selector is the user's own again", Name: service.Name})
		}
	}
}

// managedRoute is what was remembered of a route; nil if nothing was, and nothing may be written.
func (p *pass) managedRoute(route Route) *v1alpha1.ManagedRoute {
	for i := range p.prior.Routes {
		if managed := &p.prior.Routes[i]; managed.Kind == route.Kind && managed.Name == route.Name {
			return managed
		}
	}
	return nil
}

// keepRoutes remembers the routes of the spec before they are written, and those that left it until they are handed back.
// A rule that left ruleNames goes on with its route until that carries nothing for the canary.
func (p *pass) keepRoutes() {
	p.mem.Routes = nil
	for _, route := range p.in.Observed.Routes {
		managed := v1alpha1.ManagedRoute{Kind: route.Kind, Name: route.Name, RuleNames: route.RuleNames}
		known := p.managedRoute(route)
		switch {
		case known == nil && route.Problem != nil: // nothing can be written, so there is nothing to hand back
			continue
		case route.Leaving && (p.isNobodys(route) || known == nil || p.isHandedBack(route) && p.isProvenOf(route) && p.proofHasSettled()):
			continue
		case route.Leaving:
			managed = *known
			managed.Leaving = true
			p.pend("%s %s is not in spec.traffic any more: it is let go when it is proven to carry nothing for the canary", route.Kind, route.Name)
		case known != nil && !(p.carries(route) && !ReachesCanary(p.prior.Traffic) && p.proofHasSettled()):
			managed.RuleNames = union(known.RuleNames, route.RuleNames)
		}
		if !route.Leaving && lacksAny(route.RuleNames, managed.RuleNames) {
			p.pend("%s %s: rules that are not in ruleNames any more are let go when they carry nothing for the canary", route.Kind, route.Name)
		}
		p.mem.Routes = append(p.mem.Routes, managed)
	}
}

// union is all rules when one of the two is.
func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// lacksAny says that some of the rules in force are not among those of the spec.
func lacksAny(ofSpec, inForce []string) bool {
	if len(ofSpec) == 0 {
		return false
	}
	return len(inForce) == 0 || slices.ContainsFunc(inForce, func(name string) bool { return !slices.Contains(ofSpec, name) })
}

// proofHasSettled is isSettled for what nobody waits for.
func (p *pass) proofHasSettled() bool {
	return p.isVerified() && p.reached(p.mem.Traffic.VerifiedAt.Add(p.spec.settle))
}

// isProvenOf says that the proof in memory is about what a route that left the spec should carry.
func (p *pass) isProvenOf(route Route) bool {
	return p.proven[[2]string{route.Kind, route.Name}]
}

// hasJustLeft says that a route left the spec since the last pass. What was proven of it was about another target, maybe.
func (p *pass) hasJustLeft(route Route) bool {
	known := p.managedRoute(route)
	return route.Leaving && known != nil && !known.Leaving
}

// isNobodys says that a route that left the spec carries nothing of this rollout, and never will: it is gone, it lost the
// Services, or nothing was ever written.
func (p *pass) isNobodys(route Route) bool {
	return !route.Found || route.Problem != nil && route.Problem.Reason == v1alpha1.ReasonBackendPairNotFound || !p.mayWriteRoutes()
}

// isHandedBack says that a route that left the spec gets weight 0 and no rules. It needs a ready stable endpoint, and a
// stable Service that is not on the move; until then the route goes with the others.
func (p *pass) isHandedBack(route Route) bool {
	if !route.Leaving {
		return false
	}
	if route.Weight == 0 && route.Mirror == 0 && route.Headers == HeadersNone {
		return true
	}
	stable := p.in.Observed.Stable
	return ready(p.in.Observed.Canary) == 0 || ready(stable) > 0 && p.prior.StableService.ReadyAt != nil
}
