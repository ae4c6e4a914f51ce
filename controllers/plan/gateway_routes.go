// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// writeRoutes makes every route carry the target in memory (T5, T6). If a route no longer carries it, this pass only drops the
// verification, and the next one restores the route. If one pass did both and its status were lost, the next pass would
// find the target carried, with an old verification (T4).
func (g gatewayCanary) writeRoutes(w *writes) {
	if !mayWriteRoutes(w.view) {
		return
	}
	for _, route := range w.in.Observed.Routes {
		if !route.Found || route.Problem != nil || carries(w.view, route) || !canExpress(w.view, route) || managedRoute(w.view, route) == nil {
			continue
		}
		if record := recordOf(w.mem.Traffic.Routes, route); record != nil {
			warnOverwritten(w, route, *record)
			continue
		}
		if allowed := g.mayCarry(w.view, route); allowed.shut {
			w.awaitTraffic(allowed)
			continue
		}
		target := desiredTraffic(w.view, route)
		w.act(SetTraffic{Reason: Reason(trafficReason(route, target)), Kind: route.Kind, Name: route.Name, Traffic: target})
	}
}

// mayWriteRoutes keeps a first deploy from changing a route before the configuration is complete. If nothing serves yet, the
// weights are written before there are pods: the two Services get their first endpoints one after the other, and with the
// user's initial weights, half of the requests in between could reach the Service that has none.
func mayWriteRoutes(v view) bool {
	if v.mem.StableRevision != "" || v.mem.StableService.Revision != "" || v.mem.CanaryService.Revision != "" {
		return true
	}
	return v.problem() == nil && (ready(v.in.Observed.Stable) > 0 || ready(v.in.Observed.Canary) == 0)
}

// canExpress reports whether the target is a whole number in the rules of the route that it shares with others.
func canExpress(v view, route Route) bool {
	return int64(route.Total)*int64(desiredTraffic(v, route).Weight)%100 == 0
}

// carries reports whether a route has the target in its spec.
func carries(v view, route Route) bool {
	target, headers := desiredTraffic(v, route), HeadersNone
	if len(target.HeaderRoutes) > 0 {
		headers = HeadersCurrent
	}
	return route.Found && route.Problem == nil && route.Headers == headers && route.Weight == target.Weight && route.Mirror == target.Mirror
}

// desiredTraffic returns what a route should carry: the target in memory, or nothing for the canary when it is handed back.
func desiredTraffic(v view, route Route) Traffic {
	if isHandedBack(v, route) {
		return Traffic{}
	}
	return v.traffic()
}

// isOutOfReach reports whether a route is not waited for: the rollout is being deleted and the route has a problem that nobody
// will fix, or the route left the spec and carries nothing of ours.
func isOutOfReach(v view, route Route) bool {
	return v.isTerminating() && (!route.Found || route.Problem != nil) || route.Leaving && isUnused(v, route)
}

// mayCarry checks a write to a route against the endpoints of this pass. The target may have been written to memory long
// before, and the pods that were to get the traffic may no longer exist.
func (g gatewayCanary) mayCarry(v view, route Route) gate {
	stable, canary, memory := v.in.Observed.Stable, v.in.Observed.Canary, v.mem.CanaryService
	if need := endpointsToRaise(v, route); need > 0 && (readyOf(canary, memory.Revision) < need || v.isDown(canary, memory.Revision)) {
		return waitFor("%s %s gets its traffic back when Service %s has %s of revision %s", route.Kind, route.Name,
			canary.Name, Quantity(need, "ready endpoint"), memory.Revision)
	}
	weight := desiredTraffic(v, route).Weight
	lowers := weight < 100 && (route.Weight == MixedWeight || route.Weight > weight)
	if lowers && (stable.Found || !v.isTerminating()) && ready(stable) == 0 && ready(canary) > 0 {
		return gate{shut: true, problem: g.stableProblem(v)}
	}
	return gate{}
}

// endpointsToRaise returns how many ready canary endpoints it takes to give a route more traffic than it has, as the target
// asks for (T2); 0 if it gets no more.
func endpointsToRaise(v view, route Route) int32 {
	if isHandedBack(v, route) {
		return 0
	}
	target := v.traffic()
	isMore := target.Weight > max(route.Weight, 0) || target.Mirror > max(route.Mirror, 0) ||
		len(target.HeaderRoutes) > 0 && route.Headers != HeadersCurrent
	switch {
	case !isMore:
		return 0
	case v.mem.Phase == v1alpha1.PhaseRollingBack: // one is enough for a rollback by way of the canary Service (T9)
		return 1
	default:
		return max(1, v.podsFor(target.load()))
	}
}

// warnOverwritten reports who overwrote a route that carried the target, and with what (T6). The status of this pass drops
// the record of the route, so each foreign write is reported once. A route that was deleted and created again was not
// overwritten.
func warnOverwritten(w *writes, route Route, record v1alpha1.RouteMemory) {
	target := w.traffic()
	what := overwritten(route, target)
	if what == "" || route.Leaving || record.Generation >= route.Generation {
		return
	}
	var with []string
	if headers := len(target.HeaderRoutes); headers > 0 {
		with = append(with, Quantity(int32(headers), "header route"))
	}
	if target.Mirror > 0 {
		with = append(with, fmt.Sprintf("a mirror of %d %%", target.Mirror))
	}
	desired := fmt.Sprintf("%d %% for the canary", target.Weight)
	if len(with) > 0 {
		desired += ", with " + strings.Join(with, " and ")
	}
	w.warnRepeated(EventRouteOverwritten, "%s wrote %s to %s %s: it is restored to %s",
		writer(route.FieldManager), what, route.Kind, route.Name, desired)
}

// overwritten returns what a route carries instead of the target. It is empty for header rules that only lag behind an edit
// of their source rule, which is not worth a warning.
func overwritten(route Route, target Traffic) string {
	switch {
	case route.Weight != target.Weight:
		return route.Weights
	case route.Mirror != target.Mirror && route.Mirror == 0:
		return "no mirror"
	case route.Mirror != target.Mirror:
		return "another mirror"
	case len(target.HeaderRoutes) == 0:
		return "header routes of this rollout that are not in force"
	case route.Headers == HeadersNone:
		return "no header routes"
	default:
		return ""
	}
}

func writer(name string) string { return cmp.Or(name, "somebody") }

func trafficReason(route Route, to Traffic) string {
	switch {
	case route.Weight == MixedWeight:
		return fmt.Sprintf("canary share to %d %%", to.Weight)
	case route.Weight != to.Weight:
		return fmt.Sprintf("canary share from %d to %d %%", route.Weight, to.Weight)
	case route.Mirror != to.Mirror && to.Mirror == 0:
		return "mirror removed"
	case route.Mirror != to.Mirror:
		return fmt.Sprintf("mirror set to %d %%", to.Mirror)
	case len(to.HeaderRoutes) > 0:
		return "header routes set"
	default:
		return "header routes removed"
	}
}

// managedRoute returns the entry of a route in memory; nil if there is none, and then the route must not be written.
func managedRoute(v view, route Route) *v1alpha1.ManagedRoute {
	for i := range v.mem.Routes {
		if managed := &v.mem.Routes[i]; managed.Kind == route.Kind && managed.Name == route.Name {
			return managed
		}
	}
	return nil
}

// recordOf returns the record of a route that carried the target; nil if it never did.
func recordOf(records []v1alpha1.RouteMemory, route Route) *v1alpha1.RouteMemory {
	for i := range records {
		if records[i].Kind == route.Kind && records[i].Name == route.Name {
			return &records[i]
		}
	}
	return nil
}
