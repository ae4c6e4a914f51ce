// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// mayLeave does not let a first deploy be superseded once the stable Service selects its pods and has ready endpoints, since
// no other revision could serve in the meantime. Nor does it let a revision be superseded that the user promotes because
// stable cannot serve, as long as that revision serves.
func (gatewayCanary) mayLeave(v view) bool {
	observed, current := v.in.Observed, v.mem.CurrentRevision
	if v.mem.ForcedRevision == current && ready(observed.Stable)+ready(observed.Canary) > 0 {
		return false
	}
	return v.mem.StableRevision != "" || v.mem.StableService.Revision != current || ready(observed.Stable) == 0
}

func (g gatewayCanary) promote(t *transition) {
	full := max(t.spec.replicas, 1)
	prepare, hasPods := g.prepare(t.view, full)
	switch stage := promotionStage(t.mem); {
	case isMigration(t.view):
		moveService(&t.mem.StableService, "")
	case hasNothingToLose(t.view):
		g.promoteAtOnce(t)
	case stage == StagePromoteEnd:
		g.endPromotion(t, full)
	case stage == StagePromoteStable:
		if t.await(t.serves(t.in.Observed.Stable, t.mem.StableService, full)) {
			t.setTraffic(Traffic{})
		}
	case prepare != nil:
		prepare(t)
	case stage == StagePromoteCanary:
		t.await(hasPods)
		if t.await(g.canServe(t.view, full)) {
			t.setTraffic(allTraffic)
		}
	default:
		t.await(hasPods)
		if t.await(t.settled()) && t.await(g.canServe(t.view, full)) {
			t.event(EventServiceMoved, "all traffic is on the canary: Service %s moves to revision %s", t.in.Observed.Stable.Name, t.mem.CurrentRevision)
			moveService(&t.mem.StableService, t.mem.CurrentRevision)
		}
	}
}

// endPromotion commits once all traffic is back on the stable Service, which now selects the new revision, and the bake is over. A
// first deploy moves its Services at once, with weight 0.
func (gatewayCanary) endPromotion(t *transition, full int32) {
	if t.mem.StableRevision == "" && !t.await(t.serves(t.in.Observed.Stable, t.mem.StableService, full)) {
		return
	}
	if t.await(t.settled()) && t.await(t.bake()) {
		t.commit()
	}
}

// hasNothingToLose reports whether neither Service has ready endpoints of anything but the current revision, and no stable
// revision has to be kept: a first deploy that is no migration, or a rollout without pods. A migration follows T8 to its end,
// even if the slices lose the other endpoints in between: data planes may still have them.
func hasNothingToLose(v view) bool {
	if v.spec.replicas > 0 && (v.mem.StableRevision != "" || v.mem.Traffic.Weight > 0) {
		return false
	}
	for _, service := range []Service{v.in.Observed.Stable, v.in.Observed.Canary} {
		if ready(service) > readyOf(service, v.mem.CurrentRevision) {
			return false
		}
	}
	return true
}

// isMigration reports whether a first deploy was to move its Services at once, but the stable Service now has ready endpoints
// of others.
func isMigration(v view) bool {
	stable, memory := v.in.Observed.Stable, v.mem.StableService
	return v.mem.StableRevision == "" && v.mem.Traffic.Weight == 0 && memory.Revision == v.mem.CurrentRevision &&
		!memory.Selected && ready(stable) > readyOf(stable, memory.Revision)
}

// promoteAtOnce sets Services and routes together as soon as the pods are available.
func (gatewayCanary) promoteAtOnce(t *transition) {
	current, need, observed := t.mem.CurrentRevision, t.spec.replicas, t.in.Observed
	switch {
	case !t.await(t.sized(need)):
	case t.mem.StableService.Revision != current || t.mem.CanaryService.Revision != current || t.traffic().reachesCanary():
		moveService(&t.mem.StableService, current)
		moveService(&t.mem.CanaryService, current)
		t.setTraffic(Traffic{})
	case need > 0 && !(t.await(t.serves(observed.Stable, t.mem.StableService, need)) &&
		t.await(t.serves(observed.Canary, t.mem.CanaryService, need))):
	case t.await(t.settled()):
		t.commit()
	}
}

// stableProblem returns why the stable Service has no ready endpoint, so that traffic stays where it is; nil if the rollout
// reports that anyway.
func (gatewayCanary) stableProblem(v view) *Problem {
	service, stable := v.in.Observed.Stable, v.mem.StableRevision
	switch problem := service.Problem; {
	case problem != nil && service.Found:
		return nil
	case problem != nil:
		return stalledBy(problem.Reason, "traffic stays where it is: %s", problem.Message).problem
	case portProblem(service, stable) != nil:
		return portProblem(service, stable)
	case stable == "" || v.replicaSet(stable).Ready > 0:
		return stalledBy(v1alpha1.ReasonStableUnavailable, "Service %s has no ready endpoint, so traffic stays where it is: check its selector "+
			"and its EndpointSlices", service.Name).problem
	case v.checkPromoteFull() == "":
		return stalledBy(v1alpha1.ReasonStableUnavailable,
			"stable revision %s has no ready pod, so traffic stays where it is; fix it, or promote revision %s: %s",
			stable, v.mem.CurrentRevision, v.annotate(v1alpha1.PromoteAnnotation+"=full")).problem
	default:
		return stalledBy(v1alpha1.ReasonStableUnavailable, "stable revision %s has no ready pod, so traffic stays where it is; fix it", stable).problem
	}
}
