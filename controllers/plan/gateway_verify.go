// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// unversionedWait is how long a route has to carry a weight before it counts as verified by a gateway that accepts the route
// but reports no generation (T4). The conformance tests of the Gateway API allow 30 s for convergence.
const unversionedWait = 30 * time.Second

// routeKey identifies a route of a rollout.
type routeKey struct{ kind, name string }

func (r Route) key() routeKey { return routeKey{r.Kind, r.Name} }

// verify checks whether every route is verified to carry the target (T4).
func (g gatewayCanary) verify(t *transition) {
	traffic := &t.mem.Traffic
	traffic.Routes = nil
	t.verifiedRoutes = map[routeKey]bool{}
	isVerified := len(t.in.Observed.Routes) > 0
	for _, route := range t.in.Observed.Routes {
		if isOutOfReach(t.before, route) {
			continue
		}
		if !carries(t.before, route) || hasJustLeft(t.before, route) {
			isVerified = false
			waitToWrite(t, route)
			continue
		}
		record := firstCarried(t.before, route)
		acceptance := accepted(t.view, route, record)
		t.awaitTraffic(acceptance)
		record.Accepted = record.Accepted || !acceptance.shut
		traffic.Routes = append(traffic.Routes, record)
		t.verifiedRoutes[route.key()] = !acceptance.shut
		isVerified = isVerified && !acceptance.shut
	}
	if isVerified {
		var measured gate
		measured, t.probe = g.measurement(t.view)
		t.awaitTraffic(measured)
		isVerified = !measured.shut
	}
	t.recordVerification(isVerified)
}

// waitToWrite records why a route does not carry the target, if that is not reported otherwise.
func waitToWrite(t *transition, route Route) {
	switch {
	case route.Leaving && route.Problem != nil:
		t.awaitTraffic(waitFor("it is no longer in spec.traffic, but still sends requests to the canary Service: %s", route.Problem.Message))
	case route.Problem == nil && !canExpress(t.before, route):
		t.awaitTraffic(waitFor("%s %s cannot carry %d %%: the weights of a rule with other backends are too coarse",
			route.Kind, route.Name, t.mem.Traffic.Weight))
	}
}

// firstCarried returns the record of the generation that first carried the target. Others may have changed a shared route
// since. A gateway that accepted that generation or a later one has accepted the target.
func firstCarried(v view, route Route) v1alpha1.RouteMemory {
	record := recordOf(v.mem.Traffic.Routes, route)
	// A route that was deleted and created again counts its generations from 1.
	if record != nil && record.Generation <= route.Generation && record.CarriedAt != nil {
		return *record
	}
	return v1alpha1.RouteMemory{Kind: route.Kind, Name: route.Name, Generation: route.Generation, CarriedAt: v.now()}
}

// accepted is open when every parent has accepted the target. A parent that reports no generation is given time.
func accepted(v view, route Route, record v1alpha1.RouteMemory) gate {
	if route.AcceptedGeneration < record.Generation && (!route.Unversioned || route.AcceptedGeneration > 0) {
		return waitFor("%s %s is not verified: %s", route.Kind, route.Name, route.Pending)
	}
	if !route.Unversioned {
		return gate{}
	}
	g := v.until(record.CarriedAt.Add(unversionedWait))
	if g.shut {
		wait := waitFor("%s %s is accepted by a gateway that reports no generation: the weight counts as verified at %s",
			route.Kind, route.Name, clock(g.opensAt))
		g.message = wait.message
	}
	return g
}

// warnLostVerification warns of a route that a gateway no longer accepts although it still carries the target and the rollout
// did not change it. A route that no longer carries the target was overwritten, and is reported elsewhere.
func (g gatewayCanary) warnLostVerification(t *transition) {
	before, after := t.before.mem.Traffic, t.mem.Traffic
	isCarried := slices.ContainsFunc(t.in.Observed.Routes, func(route Route) bool { return carries(t.before, route) })
	if before.VerifiedAt == nil || after.VerifiedAt != nil || !isCarried ||
		before.Weight != after.Weight || before.MirrorPercent != after.MirrorPercent || before.HeaderRoutesActive != after.HeaderRoutesActive ||
		len(before.Routes) != len(after.Routes) {
		return
	}
	t.warnRepeated(g.unverifiedReason(t.view), "weight %d is no longer verified: %s", after.Weight, t.trafficWait())
}
