// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The Services and routes in spec.traffic may change at any time. Memory has the names of those that were written, so that
// those that leave the spec are handed back: a route at once, by weight 0 that is verified and settled; a Service when
// nothing is in flight.

// rememberNames adds the names of the spec to a memory that has none: a new one, or one written by a version without names.
func (gatewayCanary) rememberNames(t *transition) {
	t.mem.StableService.Name = cmp.Or(t.mem.StableService.Name, t.in.Spec.Traffic.StableService)
	t.mem.CanaryService.Name = cmp.Or(t.mem.CanaryService.Name, t.in.Spec.Traffic.CanaryService)
}

// hasOtherNames reports whether the spec names other Services than memory.
func (v view) hasOtherNames() bool {
	return v.mem.StableService.Name != v.in.Spec.Traffic.StableService || v.mem.CanaryService.Name != v.in.Spec.Traffic.CanaryService
}

// waitForNames records why the Services in the spec are not used yet.
func (gatewayCanary) waitForNames(t *transition) {
	if t.hasOtherNames() && !mayRename(t.view) {
		t.pend("spec.traffic names the Services %s and %s: they replace %s and %s once nothing is in flight and the latter select the stable revision",
			t.in.Spec.Traffic.StableService, t.in.Spec.Traffic.CanaryService, t.mem.StableService.Name, t.mem.CanaryService.Name)
	}
}

// retarget switches to the Services in the spec. During a release that could move a Service that carries traffic, so it waits
// until both select the stable revision: requests then reach that revision at any weight. Services that were never written
// are replaced at once.
func (g gatewayCanary) retarget(v view) decision {
	if !v.hasOtherNames() || !mayRename(v) {
		return nil
	}
	return g.switchServices
}

func (gatewayCanary) switchServices(t *transition) {
	traffic, stable, canary := t.in.Spec.Traffic, &t.mem.StableService, &t.mem.CanaryService
	kept := []string{traffic.StableService, traffic.CanaryService}
	for _, service := range []Service{t.in.Observed.Stable, t.in.Observed.Canary} {
		if service.isLeft() && !slices.Contains(kept, service.Name) {
			t.mem.LeavingServices = append(t.mem.LeavingServices, service.Name)
		}
	}
	t.mem.LeavingServices = slices.DeleteFunc(t.mem.LeavingServices, func(name string) bool { return slices.Contains(kept, name) })
	t.rename(stable, traffic.StableService)
	t.rename(canary, traffic.CanaryService)
	t.voidVerification()
	t.pend("switching to the Services %s and %s", stable.Name, canary.Name)
}

// rename switches to another Service, whose endpoints have to settle. A Service that replaces a missing one during a release
// does not wait: it is pointed at its revision at once.
func (t *transition) rename(memory *v1alpha1.ServiceMemory, name string) {
	if memory.Name == name {
		return
	}
	memory.Name, memory.Narrowed = name, false
	if t.mem.Phase == v1alpha1.PhaseIdle {
		memory.ReadyAt = nil
	}
}

func mayRename(v view) bool {
	traffic, stable, canary := v.in.Spec.Traffic, v.mem.StableService, v.mem.CanaryService
	isIdle := func(service Service) bool {
		return !service.Found || service.Problem != nil ||
			service.Revision == v.mem.StableRevision && !servesOther(service, v.mem.StableRevision)
	}
	if v.mem.Phase == v1alpha1.PhaseIdle && !v.traffic().reachesCanary() && isIdle(v.in.Observed.Stable) && isIdle(v.in.Observed.Canary) {
		return true
	}
	isUnused := func(service Service, memory v1alpha1.ServiceMemory) bool {
		return !service.Found || memory.Revision == ""
	}
	isCrossing := traffic.StableService == canary.Name || traffic.CanaryService == stable.Name
	return !isCrossing &&
		(traffic.StableService == stable.Name || isUnused(v.in.Observed.Stable, stable)) &&
		(traffic.CanaryService == canary.Name || isUnused(v.in.Observed.Canary, canary))
}

// isLeft reports whether a Service that left the spec still has our label in its selector.
func (s Service) isLeft() bool { return s.Found && s.Problem == nil && s.Revision != "" }

// handBackLeft removes the hash from the selectors of Services that left the spec, as a deletion does. It does so only
// while no other revision than the stable one has pods, so that no endpoint changes.
func (gatewayCanary) handBackLeft(w *writes) {
	if w.mem.Phase != v1alpha1.PhaseIdle {
		return
	}
	for _, service := range w.in.Observed.Leaving {
		switch stable := w.mem.StableRevision; {
		case !service.isLeft(), service.Revision != stable && w.replicaSet(stable).Ready == 0:
		case service.Revision != stable:
			w.act(PointService{Reason: "it is no longer in spec.traffic: it selects the stable revision until it is handed back", Name: service.Name, Revision: stable})
		case !w.hasOtherPods():
			w.act(PointService{Reason: "it is no longer in spec.traffic: the selector is restored", Name: service.Name})
		}
	}
}

// keepLeavingServices keeps the Services that left the spec in memory until they are handed back.
func (gatewayCanary) keepLeavingServices(t *transition) {
	t.mem.LeavingServices = nil
	for _, service := range t.in.Observed.Leaving {
		if service.isLeft() {
			t.mem.LeavingServices = append(t.mem.LeavingServices, service.Name)
			t.pend("Service %s is no longer in spec.traffic: its selector is restored when no other revision has pods", service.Name)
		}
	}
}

// keepRoutes adds the routes of the spec to memory before they are written, and keeps those that left it until they are
// handed back. A rule that left ruleNames stays with its route until the route carries nothing for the canary.
func (gatewayCanary) keepRoutes(t *transition) {
	t.mem.Routes = nil
	for _, route := range t.in.Observed.Routes {
		managed := v1alpha1.ManagedRoute{Kind: route.Kind, Name: route.Name, RuleNames: route.RuleNames}
		known := managedRoute(t.before, route)
		switch {
		case known == nil && route.Problem != nil: // nothing can be written, so there is nothing to hand back
			continue
		case route.Leaving && (known == nil || isUnused(t.before, route)):
			continue
		case route.Leaving && isHandedBack(t.before, route) && t.verifiedRoutes[route.key()] && t.await(t.verifiedAndSettled()):
			continue
		case route.Leaving:
			managed = *known
			managed.Leaving = true
			t.pend("%s %s is no longer in spec.traffic: it is released once it is verified to send nothing to the canary", route.Kind, route.Name)
		case known != nil && !(carries(t.before, route) && !t.before.traffic().reachesCanary() && t.await(t.verifiedAndSettled())):
			managed.RuleNames = union(known.RuleNames, route.RuleNames)
		}
		if !route.Leaving && lacksAny(route.RuleNames, managed.RuleNames) {
			t.pend("%s %s: rules that are no longer in ruleNames are released once they send nothing to the canary", route.Kind, route.Name)
		}
		t.mem.Routes = append(t.mem.Routes, managed)
	}
}

// union returns the rules of both lists. An empty list stands for all rules.
func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// lacksAny reports whether the spec lacks some of the rules in force.
func lacksAny(ofSpec, inForce []string) bool {
	if len(ofSpec) == 0 {
		return false
	}
	return len(inForce) == 0 || slices.ContainsFunc(inForce, func(name string) bool { return !slices.Contains(ofSpec, name) })
}

// hasJustLeft reports whether a route left the spec since the last pass. Its verification may have been for another target.
func hasJustLeft(v view, route Route) bool {
	known := managedRoute(v, route)
	return route.Leaving && known != nil && !known.Leaving
}

// isUnused reports whether a route that left the spec carries nothing of this rollout, and never will: it was deleted, it lost
// the Services, or it was never written.
func isUnused(v view, route Route) bool {
	return !route.Found || route.Problem != nil && route.Problem.Reason == v1alpha1.ReasonBackendPairNotFound || !mayWriteRoutes(v)
}

// isHandedBack reports whether a route that left the spec gets weight 0 and no rules. That takes a ready stable endpoint, and
// a stable Service that is not being moved. Until then the route is treated like the others.
func isHandedBack(v view, route Route) bool {
	if !route.Leaving {
		return false
	}
	if route.Weight == 0 && route.Mirror == 0 && route.Headers == HeadersNone {
		return true
	}
	stable := v.in.Observed.Stable
	return ready(v.in.Observed.Canary) == 0 || ready(stable) > 0 && v.mem.StableService.ReadyAt != nil
}
