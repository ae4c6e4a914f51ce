// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// gatewayCanary sends requests to a canary by the weights of a stable and a canary Service in Gateway API routes. It follows
// the rules T1 to T9.
type gatewayCanary struct{}

var _ strategy = gatewayCanary{}

// examine adds a problem if other workloads would lose endpoints when a Service is narrowed to this rollout for the first
// time. A first deploy replaces what served before (T8).
func (gatewayCanary) examine(v view) Observed {
	observed := v.in.Observed
	if v.mem.StableRevision == "" || v.in.Spec.Traffic.OtherEndpoints == v1alpha1.OtherEndpointsRemove {
		return observed
	}
	if observed.Stable.Problem == nil {
		observed.Stable.Problem = sharedProblem(observed.Stable, v.mem.StableService)
	}
	if observed.Canary.Problem == nil {
		observed.Canary.Problem = sharedProblem(observed.Canary, v.mem.CanaryService)
	}
	return observed
}

func (g gatewayCanary) begin(t *transition, stable string) {
	g.rememberNames(t)
	g.keepRoutes(t)
	t.mem.StableService.Revision, t.mem.CanaryService.Revision = stable, stable
}

func (g gatewayCanary) write(w *writes) {
	g.writeRoutes(w)
	g.writeServices(w)
}

func (g gatewayCanary) observe(t *transition) {
	if t.isTerminating() {
		g.revokeMoves(t)
		g.verify(t)
		g.watchServices(t)
		return
	}
	g.rememberNames(t)
	g.revokeMoves(t)
	g.keepLeavingServices(t)
	g.verify(t)
	g.warnLostVerification(t)
	g.keepRoutes(t)
	g.watchServices(t)
	g.waitForNames(t)
}

func (g gatewayCanary) problem(v view) *Problem {
	observed := v.in.Observed
	problems := []*Problem{observed.Stable.Problem, observed.Canary.Problem}
	for _, route := range observed.Routes {
		if !route.Leaving {
			problems = append(problems, route.Problem, g.stepProblem(v, route))
		}
	}
	for _, problem := range append(problems, g.refusedStep(v)) {
		if problem != nil {
			return problem
		}
	}
	return nil
}

func (gatewayCanary) isReachable(v view, revision string) bool {
	if v.mem.StableService.Revision == revision || v.mem.CanaryService.Revision == revision {
		return true
	}
	return canReach(v.in.Observed.Stable, revision) || canReach(v.in.Observed.Canary, revision)
}

func (g gatewayCanary) isServing(v view) gate {
	current, canary := v.mem.CurrentRevision, v.in.Observed.Canary
	if v.canarySize() > 0 && (v.mem.CanaryService.Revision != current || v.isDown(canary, current)) {
		return waitFor("waiting for a ready endpoint of revision %s in Service %s", current, canary.Name)
	}
	return gate{}
}

func (gatewayCanary) canServe(v view, pods int32) gate {
	current := v.mem.CurrentRevision
	if sized := v.sized(pods); sized.shut {
		return sized
	}
	if v.mem.CanaryService.Revision != current {
		return waitFor("waiting to move Service %s to revision %s", v.in.Observed.Canary.Name, current)
	}
	return v.serves(v.in.Observed.Canary, v.mem.CanaryService, pods)
}

// prepare moves the canary Service to the current revision once that has its pods and the Service gets no requests (T1).
func (gatewayCanary) prepare(v view, size int32) (due decision, hasPods gate) {
	if v.mem.CanaryService.Revision == v.mem.CurrentRevision || size == 0 {
		return nil, gate{}
	}
	waits, since := v.waitsForEndpoints(size)
	if hasPods = v.sized(size); !waits && hasPods.shut {
		hasPods.opensAt = since.opensAt
		return nil, hasPods
	}
	if v.traffic().reachesCanary() {
		return nil, gate{}
	}
	return func(t *transition) {
		if t.await(t.settled()) {
			moveService(&t.mem.CanaryService, t.mem.CurrentRevision)
		}
	}, gate{}
}

// waitsForEndpoints reports whether the pods of the current revision exist, but may only become ready as endpoints of a
// Service, because a load balancer sets their readiness gates. The template shows such gates, but not those that an admission
// webhook adds, so half of the progress deadline without a ready pod is taken for the same. Moving the canary Service is
// safe: it gets no requests at that time, and its traffic waits for ready endpoints (T2).
func (v view) waitsForEndpoints(size int32) (waits bool, since gate) {
	rs, progress := v.replicaSet(v.mem.CurrentRevision), v.mem.Progress.At
	switch {
	case !rs.Current || rs.Replicas < size || rs.Ready > 0:
		return false, gate{}
	case rs.Gated:
		return true, gate{}
	case progress == nil:
		return false, gate{}
	default:
		since = v.until(progress.Add(v.spec.deadline / 2))
		return !since.shut, since
	}
}

// isRepaired reports whether the canary Service still has ready endpoints, and its selector is restored in this pass.
func isRepaired(v view) bool {
	canary := v.in.Observed.Canary
	return ready(canary) > 0 && canary.isMisdirected(v.mem.CanaryService.Revision)
}

// failOver sends the requests of a canary without a ready endpoint to the stable revision. The canary gets them back by T2.
func (g gatewayCanary) failOver(v view) decision {
	observed, current, stable := v.in.Observed, v.mem.CurrentRevision, v.mem.StableRevision
	if v.mem.StableService.Revision == current {
		return g.failOverPromotion(v)
	}
	if !v.traffic().reachesCanary() || isRepaired(v) || !v.isDown(observed.Canary, current) || readyOf(observed.Stable, stable) == 0 {
		return nil
	}
	return func(t *transition) {
		t.warn(EventCanaryUnavailable, "revision %s has no ready endpoint: its traffic goes to %s until it has one", current, stable)
		t.setTraffic(Traffic{})
	}
}

// failOverPromotion returns the stable Service to the stable revision when the new one has died behind both Services, and the
// stable one still has ready pods. No ready endpoint is lost by that (T1). Traffic follows once it can.
func (g gatewayCanary) failOverPromotion(v view) decision {
	observed, current, stable := v.in.Observed, v.mem.CurrentRevision, v.mem.StableRevision
	if ready(observed.Stable) > 0 || ready(observed.Canary) > 0 || v.replicaSet(current).Ready > 0 || v.replicaSet(stable).Ready == 0 {
		return nil
	}
	return func(t *transition) {
		t.warn(EventCanaryUnavailable, "no pod of revision %s is ready: Service %s returns to %s until one is",
			current, observed.Stable.Name, stable)
		g.restoreStable(t)
	}
}

// restoreStable returns the stable Service to the stable revision without waiting for verification. It drops the verification
// of the weight: what was measured while both Services selected one revision does not apply.
func (gatewayCanary) restoreStable(t *transition) {
	moveService(&t.mem.StableService, t.mem.StableRevision)
	t.mem.Traffic.VerifiedAt = nil
}

func (gatewayCanary) watchServices(t *transition) {
	t.watchService(t.in.Observed.Stable, &t.mem.StableService)
	t.watchService(t.in.Observed.Canary, &t.mem.CanaryService)
}

// writeServices points both Services at the revisions in memory. It skips moves that are no longer safe.
func (g gatewayCanary) writeServices(w *writes) {
	observed, target := w.in.Observed, w.traffic()
	if !g.isMoveBackUnsafe(w.view) && !g.hasMoveTargetDied(w.view) {
		w.writeService(observed.Stable, w.mem.StableService, g.stillIdle(w.view, target.Weight == 100))
	}
	w.writeService(observed.Canary, w.mem.CanaryService, g.stillIdle(w.view, !target.reachesCanary()))
}

// stillIdle is open when the target sends no requests to a Service, every route has that target in its spec, and the
// verification in memory has settled.
func (g gatewayCanary) stillIdle(v view, isTarget bool) gate {
	if !isTarget {
		return gate{shut: true}
	}
	if settled := v.verifiedAndSettled(); settled.shut {
		return settled
	}
	return gate{shut: slices.ContainsFunc(v.in.Observed.Routes, func(route Route) bool {
		return !carries(v, route) && !isOutOfReach(v, route)
	})}
}

// revokeMoves undoes the moves of the stable Service that are no longer safe.
func (g gatewayCanary) revokeMoves(t *transition) {
	switch {
	case g.isMoveBackUnsafe(t.before):
		moveService(&t.mem.StableService, t.mem.CurrentRevision)
	case g.hasMoveTargetDied(t.before): // the Service never moved, and has served since before this phase began
		moveService(&t.mem.StableService, t.mem.StableRevision)
		t.mem.StableService.ReadyAt = t.before.mem.TransitionedAt
	}
}

// isMoveBackUnsafe reports whether pods of the canary became ready before the stable Service was moved away from them. The
// Service was to move back at once because it had no ready endpoint. Now it would move under traffic (T1).
func (gatewayCanary) isMoveBackUnsafe(v view) bool {
	service, target, stable := v.in.Observed.Stable, v.mem.StableService, v.mem.StableRevision
	wasToGoBack := v.mem.Phase != v1alpha1.PhaseStepping && v.mem.CurrentRevision != stable && target.Revision == stable && target.ReadyAt == nil
	carriesNothing := v.mem.Traffic.Weight == 100 && !v.verifiedAndSettled().shut
	return wasToGoBack && service.Revision == v.mem.CurrentRevision && ready(service) > 0 && !carriesNothing
}

// hasMoveTargetDied reports whether the revision that the stable Service was to move to died before the move. The Service
// still has its former ready endpoints, and traffic can return to them.
func (gatewayCanary) hasMoveTargetDied(v view) bool {
	service, current := v.in.Observed.Stable, v.mem.CurrentRevision
	return v.mem.Phase != v1alpha1.PhaseStepping && current != v.mem.StableRevision &&
		v.mem.StableService.Revision == current && service.Revision == v.mem.StableRevision &&
		ready(service) > 0 && v.replicaSet(current).Ready == 0
}
