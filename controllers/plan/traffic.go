// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Traffic is the part of the requests to a rollout that a canary gets. The zero value is none.
type Traffic struct {
	// Weight is the share of the requests in percent.
	Weight int32
	// Mirror is the percentage of the requests that are copied to the canary.
	Mirror int32
	// HeaderRoutes send the requests that they match to the canary.
	HeaderRoutes []v1alpha1.SetHeaderRoute
}

// allTraffic is every request.
var allTraffic = Traffic{Weight: 100}

// reachesCanary reports whether requests, or copies of them, are meant to reach the canary.
func (t Traffic) reachesCanary() bool { return t.Weight > 0 || t.Mirror > 0 || len(t.HeaderRoutes) > 0 }

// load returns the percentage of all requests that a canary has to handle: its own, and the copies of a mirror.
func (t Traffic) load() int32 { return min(t.Weight+t.Mirror, 100) }

// hasMoreExtras reports whether it has more mirrored requests than the other traffic, or header routes that the other lacks.
func (t Traffic) hasMoreExtras(other Traffic) bool {
	return t.Mirror > other.Mirror || len(t.HeaderRoutes) > 0 && len(other.HeaderRoutes) == 0
}

// exceeds reports whether it is more than the other traffic in any way.
func (t Traffic) exceeds(other Traffic) bool {
	return t.Weight > other.Weight || t.hasMoreExtras(other)
}

// extrasWithin returns the traffic with its mirror and header routes limited to those of the other.
func (t Traffic) extrasWithin(other Traffic) Traffic {
	t.Mirror = min(t.Mirror, other.Mirror)
	if len(other.HeaderRoutes) == 0 {
		t.HeaderRoutes = nil
	}
	return t
}

// within returns the traffic limited to the other in every way.
func (t Traffic) within(other Traffic) Traffic {
	t.Weight = min(t.Weight, other.Weight)
	return t.extrasWithin(other)
}

// traffic returns the target of all routes.
func (v view) traffic() Traffic {
	target := Traffic{Weight: v.mem.Traffic.Weight, Mirror: v.mem.Traffic.MirrorPercent}
	if v.mem.Traffic.HeaderRoutesActive {
		target.HeaderRoutes = v.mem.StepTargets.HeaderRoutes
	}
	return target
}

// stepTraffic returns what the steps ask for up to the current one. The target follows it as pods allow.
func (v view) stepTraffic() Traffic {
	targets := v.mem.StepTargets
	return Traffic{Weight: targets.Weight, Mirror: targets.MirrorPercent, HeaderRoutes: targets.HeaderRoutes}
}

// followsSteps reports whether the target is what the steps ask for.
func (v view) followsSteps() bool {
	target, asked := v.traffic(), v.stepTraffic()
	return target.Weight == asked.Weight && target.Mirror == asked.Mirror &&
		(len(target.HeaderRoutes) > 0) == (len(asked.HeaderRoutes) > 0)
}

// isVerified reports whether the target is verified on every route.
func (v view) isVerified() bool { return v.mem.Traffic.VerifiedAt != nil }

// isManaging reports whether the rollout manages traffic. A first deploy does so once it begins to take over.
func (v view) isManaging() bool {
	return v.mem.StableRevision != "" || v.mem.StableService.Revision != "" || v.mem.Traffic.Weight > 0
}

// setTraffic changes the target and drops the verification of the former one.
func (t *transition) setTraffic(target Traffic) {
	traffic := &t.mem.Traffic
	isActive := len(target.HeaderRoutes) > 0
	if traffic.Weight == target.Weight && traffic.MirrorPercent == target.Mirror && traffic.HeaderRoutesActive == isActive {
		return
	}
	traffic.Weight, traffic.MirrorPercent, traffic.HeaderRoutesActive = target.Weight, target.Mirror, isActive
	t.voidVerification()
}

// setHeaderRoutes changes the header routes that the steps ask for. Routes in force change at once.
func (t *transition) setHeaderRoutes(routes []v1alpha1.SetHeaderRoute) {
	if equality.Semantic.DeepEqual(routes, t.mem.StepTargets.HeaderRoutes) {
		return
	}
	t.mem.StepTargets.HeaderRoutes = routes
	if t.mem.Traffic.HeaderRoutesActive {
		t.voidVerification()
		t.mem.Traffic.HeaderRoutesActive = len(routes) > 0
	}
}

// shiftTraffic moves the target to what the steps ask for: down at once, up by T2. A mirror and header routes are added once
// the gateways have accepted the routes without them, so that a refusal can only be due to them.
func (t *transition) shiftTraffic() {
	target, asked := t.traffic(), t.stepTraffic()
	if asked.exceeds(target) && !t.await(t.strategy.canServe(t.view, max(t.podsFor(asked.load()), 1))) {
		asked = asked.within(target)
	}
	if asked.hasMoreExtras(target) && !t.await(t.verified()) {
		asked = asked.extrasWithin(target)
	}
	t.setTraffic(asked)
}

// recordVerification records since when the target is verified, or is not.
func (t *transition) recordVerification(isVerified bool) {
	traffic := &t.mem.Traffic
	if !isVerified {
		traffic.VerifiedAt = nil
		t.awaitVerification()
		return
	}
	if traffic.VerifiedAt == nil {
		traffic.VerifiedAt = t.now()
	}
	traffic.VerifiedWeight, traffic.UnverifiedSince = traffic.Weight, nil
}

func (t *transition) voidVerification() {
	t.probe = nil
	t.mem.Traffic.Routes, t.mem.Traffic.VerifiedAt, t.mem.Traffic.UnverifiedSince = nil, nil, nil
	t.awaitVerification()
}

// awaitVerification records since when the target is not verified. A first deploy that has not written its routes does not
// wait.
func (t *transition) awaitVerification() {
	switch traffic := &t.mem.Traffic; {
	case !t.isManaging():
		traffic.UnverifiedSince = nil
	case traffic.UnverifiedSince == nil:
		traffic.UnverifiedSince = t.now()
	}
}

// verified is open when the target is verified on every route (T4).
func (t *transition) verified() gate {
	if t.isVerified() {
		return gate{}
	}
	return waitFor("%s", t.trafficWait())
}

// trafficWait returns what the verification of the target waits for.
func (t *transition) trafficWait() string {
	if t.trafficWaiting != "" {
		return t.trafficWaiting
	}
	return fmt.Sprintf("waiting for weight %d to be verified", t.mem.Traffic.Weight)
}

// settled is open when the verification is old enough for data planes that lag behind their reported status.
func (t *transition) settled() gate {
	if !t.isVerified() {
		return t.verified()
	}
	g := t.until(t.mem.Traffic.VerifiedAt.Add(t.spec.settle))
	if g.shut {
		g.message = fmt.Sprintf("weight %d is verified and settles until %s", t.mem.Traffic.Weight, clock(g.opensAt))
	}
	return g
}

// verifiedAndSettled is settled without a message, for waits that are not reported.
func (v view) verifiedAndSettled() gate {
	if !v.isVerified() {
		return gate{shut: true}
	}
	return v.until(v.mem.Traffic.VerifiedAt.Add(v.spec.settle))
}

// keepLoad records the largest load that data planes may still send to the canary. Its pods must be able to serve that load
// until the verification of a smaller one has settled (T3).
func (t *transition) keepLoad() {
	load := t.traffic().load()
	if load >= t.mem.Traffic.MaxLoadPercent || t.await(t.verifiedAndSettled()) {
		t.mem.Traffic.MaxLoadPercent = load
	}
}

// keepVerifyTimeout reports a weight that is not verified within the timeout, or aborts if the user asks for that (T4). A
// problem of a route itself has its own reason. The time starts again when it is fixed: until then, no gateway could verify the
// weight.
func (t *transition) keepVerifyTimeout() {
	since := t.mem.Traffic.UnverifiedSince
	if since == nil {
		return
	}
	if t.problem() != nil {
		t.mem.Traffic.UnverifiedSince = nil
		return
	}
	exposure := t.strategy.exposure(t.view)
	timeout := exposure.verifyTimeout
	if !t.await(t.until(since.Add(timeout))) {
		return
	}
	weight, wait := t.mem.Traffic.Weight, t.trafficWait()
	if t.in.Spec.Traffic.OnVerifyTimeout == v1alpha1.VerifyTimeoutAbort && t.mem.Command == nil && t.mayAbort() {
		t.abort(fmt.Sprintf("weight %d was not verified within %s", weight, timeout), "")
		return
	}
	t.stall(&Problem{Reason: exposure.unverifiedReason, Message: fmt.Sprintf("weight %d is not verified after %s: %s", weight, timeout, wait)})
}
