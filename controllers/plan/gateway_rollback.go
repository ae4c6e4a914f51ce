// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// rollBack makes the next move that returns all traffic to the stable revision (T9).
func (g gatewayCanary) rollBack(t *transition) {
	canary := t.in.Observed.Canary
	switch StageOf(t.mem) {
	case StageRollBackWeight:
		g.returnStableService(t)
	case StageRollBackStable, StageRollBackTraffic:
		g.dropTraffic(t)
	case StageRollBackCanary: // comes last, when the canary Service carries nothing (T1)
		switch isDone := t.await(t.settled()); {
		case isDone && t.mem.StableRevision == "":
			t.rolledBack()
		case isDone:
			moveService(&t.mem.CanaryService, t.mem.StableRevision)
		}
	default:
		if t.mem.StableRevision != "" && canary.Found && canary.Revision != t.mem.StableRevision {
			t.await(waitFor("waiting for Service %s to select revision %s again", canary.Name, t.mem.StableRevision))
			return
		}
		t.rolledBack()
	}
}

// returnStableService returns a stable Service that was already moved: by way of weight 100 on the canary, or at once if it
// has no ready endpoint to lose.
func (g gatewayCanary) returnStableService(t *transition) {
	observed, stable := t.in.Observed, t.mem.StableRevision
	switch {
	case stable == "" && ready(observed.Stable) > 0: // a first deploy serves after all, and nothing else could
		t.began(t.mem.CurrentRevision)
		t.setPhase(v1alpha1.PhasePromoting)
	case t.replicaSet(stable).Ready == 0 && ready(observed.Stable) > 0:
		t.stall(g.stableProblem(t.view))
	case ready(observed.Stable) == 0:
		g.restoreStable(t)
	case t.mem.Traffic.Weight < 100:
		if t.await(t.serves(observed.Canary, t.mem.CanaryService, 1)) {
			t.setTraffic(allTraffic)
		}
	case t.await(t.settled()):
		moveService(&t.mem.StableService, stable)
	}
}

// dropTraffic removes all requests from the canary Service.
func (g gatewayCanary) dropTraffic(t *transition) {
	if t.await(g.mayDropTraffic(t)) {
		t.setTraffic(Traffic{})
		t.mem.StepTargets.HeaderRoutes = nil
	}
}

// mayDropTraffic is open when the stable Service has one ready endpoint; full capacity is not required. It is also open when
// the canary has no ready endpoint, or gets only copies of requests.
func (g gatewayCanary) mayDropTraffic(t *transition) gate {
	observed, traffic := t.in.Observed, t.traffic()
	switch {
	case traffic.Weight == 0 && len(traffic.HeaderRoutes) == 0,
		ready(observed.Canary) == 0, t.isTerminating() && !observed.Stable.Found:
		return gate{}
	case ready(observed.Stable) == 0:
		return gate{shut: true, problem: g.stableProblem(t.view)}
	case t.mem.StableService.Revision == "":
		return gate{}
	default:
		return t.stableAnswers()
	}
}

// stableAnswers is the condition of T9 for returning traffic. It requires an endpoint of the stable revision, but does not
// check the selector: a changed selector cannot be restored while the Service has a problem. During the steps nothing has to
// settle: the Service has not moved since the release began.
func (t *transition) stableAnswers() gate {
	service, memory := t.in.Observed.Stable, t.mem.StableService
	switch {
	case readyOf(service, memory.Revision) == 0:
		return endpointsMissing(service, memory.Revision, 1)
	case t.before.mem.Phase == v1alpha1.PhaseStepping:
		return gate{}
	default:
		return t.endpointsSettled(service, memory)
	}
}
