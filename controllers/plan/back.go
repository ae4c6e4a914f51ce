// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// giveWay leaves the current revision for what spec.template asks for now: a newer one, or the stable one again.
func (p *pass) giveWay(target string) {
	current := p.mem.CurrentRevision
	if target == p.mem.StableRevision {
		p.ended(current, v1alpha1.OutcomeReverted, "the stable template was applied again")
		p.event(EventReverted, "the stable template was applied again: revision %s goes back to %s", current, target)
	} else {
		p.ended(current, v1alpha1.OutcomeSuperseded, "by revision "+target)
		p.event(EventSuperseded, "revision %s gives way to %s: its traffic goes back first", current, target)
	}
	p.goBack()
}

// abort leaves the template in spec until a retry or another template.
func (p *pass) abort(reason string) {
	revision := p.mem.CurrentRevision
	if target := p.target(); target != "" && target != p.mem.StableRevision && target != revision {
		if p.isGoingForward() {
			p.ended(revision, v1alpha1.OutcomeSuperseded, "by revision "+target)
		}
		revision = target
	}
	p.mem.AbortedRevision, p.mem.AbortReason = revision, reason
	p.ended(revision, v1alpha1.OutcomeAborted, reason)
	p.waiting, p.paused, p.pausedUntil = "", "", time.Time{} // what held the pass until now
	p.warn(EventAborting, "revision %s is aborted (%s): all traffic goes back to %s", revision, reason, p.mem.StableRevision)
	if p.mem.Phase == v1alpha1.PhaseIdle {
		return
	}
	p.goBack()
}

// goBack starts T9, and takes its first step in the same pass: moving traffic away from a canary never waits.
func (p *pass) goBack() {
	p.enter(v1alpha1.PhaseRollingBack)
	p.mem.ForcedRevision = ""
	p.mem.Draining = slices.DeleteFunc(p.mem.Draining, func(drain v1alpha1.DrainMemory) bool {
		return drain.Revision == p.mem.CurrentRevision // it was reached again since
	})
	p.mem.StepWeight, p.mem.StepMirrorPercent, p.mem.StepHeaderRoutes = 0, 0, keepHeaders(p.mem)
	p.returning()
}

// keepHeaders keeps the header routes for as long as they are in force: while the stable Service selects the canary,
// traffic goes by the canary Service once more, and nothing about the rules may change under it.
func keepHeaders(mem v1alpha1.Memory) []v1alpha1.SetHeaderRoute {
	if mem.Traffic.HeaderRoutesActive {
		return mem.StepHeaderRoutes
	}
	return nil
}

// isOvertaken says that the stable Service was to go back at once because nothing was ready behind it, that this has
// not been done yet, and that pods of the canary came back in between: by now it would be a move under traffic (T1).
func (p *pass) isOvertaken() bool {
	service, target := p.in.Observed.Stable, p.prior.StableService
	return p.prior.Phase != v1alpha1.PhaseStepping && p.prior.CurrentRevision != p.prior.StableRevision &&
		target.Revision == p.prior.StableRevision && target.ReadyAt == nil &&
		service.Revision == p.prior.CurrentRevision && ready(service) > 0 && !p.stableCarriesNothing()
}

// isOutlived says that the stable Service was to move to a revision that has died before that was done: the Service still
// has the ready endpoints that it had, and traffic can go back to them.
func (p *pass) isOutlived() bool {
	service, current := p.in.Observed.Stable, p.prior.CurrentRevision
	return p.prior.Phase != v1alpha1.PhaseStepping && current != p.prior.StableRevision &&
		p.prior.StableService.Revision == current && service.Revision == p.prior.StableRevision &&
		ready(service) > 0 && p.replicaSet(current).Ready == 0
}

// returning brings all traffic back to the stable revision (T9).
func (p *pass) returning() {
	switch {
	case p.mem.StableService.Revision != p.mem.StableRevision:
		p.returnStableService()
	case ReachesCanary(p.mem.Traffic):
		p.returnTraffic()
	case p.mem.CanaryService.Revision != p.mem.StableRevision:
		p.returnCanaryService()
	case p.mem.StableRevision != "" && p.in.Observed.Canary.Found && p.in.Observed.Canary.Revision != p.mem.StableRevision:
		p.wait("waiting for Service %s to select revision %s again", p.in.Observed.Canary.Name, p.mem.StableRevision)
	default:
		p.returned()
	}
}

// returnStableService takes a stable Service that was moved already back: by way of weight 100 on the canary, or at
// once when nothing is ready behind it that could be lost.
func (p *pass) returnStableService() {
	stable := p.mem.StableRevision
	switch {
	case stable == "" && ready(p.in.Observed.Stable) > 0: // a first deploy answers after all, and nothing else could
		p.began(p.mem.CurrentRevision)
		p.enter(v1alpha1.PhasePromoting)
	case p.replicaSet(stable).Ready == 0 && ready(p.in.Observed.Stable) > 0:
		p.stallStable()
	case ready(p.in.Observed.Stable) == 0:
		p.takeStableBack()
	case p.mem.Traffic.Weight < 100:
		if p.canServe(p.in.Observed.Canary, p.mem.CanaryService, 1) {
			p.setTraffic(100, 0, false)
		}
	case p.stableCarriesNothing():
		p.moveService(&p.mem.StableService, stable)
	}
}

// stallStable leaves the traffic where it is, and says why nothing answers by the stable Service.
func (p *pass) stallStable() {
	stable := p.in.Observed.Stable
	switch problem := stable.Problem; {
	case problem != nil && stable.Found: // the rollout shows that itself
	case problem != nil:
		p.stall(problem.Reason, "traffic stays where it is: %s", problem.Message)
	case p.stallPort(stable, p.mem.StableRevision):
	case p.mem.StableRevision == "" || p.replicaSet(p.mem.StableRevision).Ready > 0:
		p.stall(v1alpha1.ReasonStableUnavailable, "Service %s has no ready endpoint, so traffic stays where it is: look at its selector "+
			"and its EndpointSlices", stable.Name)
	case p.judgePromoteFull() == "":
		p.stall(v1alpha1.ReasonStableUnavailable,
			"stable revision %s has no ready pod, so traffic stays where it is; fix it, or finish revision %s: %s",
			p.mem.StableRevision, p.mem.CurrentRevision, p.annotate(v1alpha1.PromoteAnnotation+"=full"))
	default:
		p.stall(v1alpha1.ReasonStableUnavailable, "stable revision %s has no ready pod, so traffic stays where it is; fix it",
			p.mem.StableRevision)
	}
}

// returnTraffic needs one ready stable endpoint, not full capacity; and none when the canary has none either, or gets
// nothing but copies.
func (p *pass) returnTraffic() {
	observed, memory, traffic := p.in.Observed, p.mem.StableService, p.mem.Traffic
	switch {
	case traffic.Weight == 0 && !traffic.HeaderRoutesActive:
		p.dropTraffic()
	case ready(observed.Canary) == 0, p.isTerminating() && !observed.Stable.Found:
		p.dropTraffic()
	case ready(observed.Stable) == 0:
		p.stallStable()
	case memory.Revision == "" || p.stableAnswers():
		p.dropTraffic()
	}
}

// stableAnswers is the condition of T9 for traffic that goes back. It asks for an endpoint of the stable revision, and
// not for the selector: one that somebody changed may be impossible to repair while the Service has a problem.
// Nothing has to settle while the steps are walked: the Service has not moved since the release began.
func (p *pass) stableAnswers() bool {
	service, memory := p.in.Observed.Stable, p.mem.StableService
	if readyOf(service, memory.Revision) == 0 {
		p.waitForEndpoints(service, memory.Revision, 1)
		return false
	}
	return p.prior.Phase == v1alpha1.PhaseStepping || p.hasSettled(service, memory)
}

func (p *pass) dropTraffic() {
	p.setTraffic(0, 0, false)
	p.mem.StepHeaderRoutes = nil
}

// returnCanaryService comes last, when the canary Service carries nothing (T1).
func (p *pass) returnCanaryService() {
	switch {
	case p.mem.StableRevision == "":
		if p.isSettled() {
			p.returned()
		}
	case p.canaryCarriesNothing():
		p.moveService(&p.mem.CanaryService, p.mem.StableRevision)
	}
}

// returned ends T9; what comes next is for the template in spec to say.
func (p *pass) returned() {
	from := p.mem.CurrentRevision
	if p.mem.StableRevision == "" {
		p.mem.CurrentRevision = cmp.Or(p.target(), from)
		p.enter(v1alpha1.PhasePromoting)
		p.began(p.mem.CurrentRevision)
		return
	}
	p.rest()
	if p.isAborted() {
		p.event(EventAborted, "revision %s serves all traffic again; to try %s once more: %s",
			p.mem.StableRevision, p.mem.AbortedRevision, p.annotate(v1alpha1.RetryAnnotation+"=true"))
		return
	}
	p.event(EventRolledBack, "revision %s serves all traffic again, revision %s drains", p.mem.StableRevision, from)
}

// fleeDyingCanary takes all traffic off a canary that has no ready endpoint while stable has; it returns by T2.
func (p *pass) fleeDyingCanary() bool {
	traffic, observed, current := p.mem.Traffic, p.in.Observed, p.mem.CurrentRevision
	if p.mem.StableService.Revision == current {
		return p.fleeDyingPromotion()
	}
	if !ReachesCanary(traffic) {
		return false
	}
	if ready(observed.Canary) > 0 && observed.Canary.isOnTheWayTo(p.mem.CanaryService.Revision) {
		return false // its selector is repaired in this pass
	}
	if !p.isDown(observed.Canary, current) || readyOf(observed.Stable, p.mem.StableRevision) == 0 {
		return false
	}
	p.warn(EventCanaryUnavailable, "revision %s has no ready endpoint: its traffic goes to %s until it is back", current, p.mem.StableRevision)
	p.setTraffic(0, 0, false)
	return true
}

// fleeDyingPromotion takes the stable Service back from a revision that has died behind both Services, while the pods of
// the stable one are there still. Nothing is ready that could be lost by that (T1); traffic follows once it can.
func (p *pass) fleeDyingPromotion() bool {
	observed, current, stable := p.in.Observed, p.mem.CurrentRevision, p.mem.StableRevision
	if ready(observed.Stable) > 0 || ready(observed.Canary) > 0 || p.replicaSet(current).Ready > 0 || p.replicaSet(stable).Ready == 0 {
		return false
	}
	p.warn(EventCanaryUnavailable, "no pod of revision %s is ready: Service %s goes back to %s until one is",
		current, observed.Stable.Name, stable)
	p.takeStableBack()
	return true
}

// takeStableBack does not wait for proof. What was measured while both Services had one revision told nothing of a weight.
func (p *pass) takeStableBack() {
	p.moveService(&p.mem.StableService, p.mem.StableRevision)
	p.mem.Traffic.VerifiedAt = nil
}
