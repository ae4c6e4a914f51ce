// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// promoting brings the current revision into the place of the stable one (T8).
func (p *pass) promoting() {
	switch target := p.target(); {
	case target != "" && target != p.mem.CurrentRevision && p.mayLeave():
		p.giveWay(target)
	case p.fleeDyingCanary():
	case p.hold():
	case p.isIntrudedUpon():
		p.moveService(&p.mem.StableService, "")
	case p.nothingToLose():
		p.promoteAtOnce()
	case p.mem.StableService.Revision != p.mem.CurrentRevision:
		p.promoteBeforeMove()
	default:
		p.promoteAfterMove()
	}
}

// mayLeave keeps a first deploy on its course once the stable Service selects its pods and they answer, since no other
// revision could serve in the meantime; and a revision that the user wants finished because stable cannot serve, for as long
// as it serves itself.
func (p *pass) mayLeave() bool {
	if p.mem.ForcedRevision == p.mem.CurrentRevision && ready(p.in.Observed.Stable)+ready(p.in.Observed.Canary) > 0 {
		return false
	}
	return p.mem.StableRevision != "" || p.mem.StableService.Revision != p.mem.CurrentRevision ||
		ready(p.in.Observed.Stable) == 0
}

// nothingToLose says that no ready endpoint but the current revision's own is in either Service, and that no stable
// revision has to be kept: a first deploy that is no migration, or a rollout without pods. A migration goes by T8 to its
// end, also when the slices have lost the others' endpoints by then: data planes may not have.
func (p *pass) nothingToLose() bool {
	if p.spec.replicas > 0 && (p.mem.StableRevision != "" || p.mem.Traffic.Weight > 0) {
		return false
	}
	for _, service := range []Service{p.in.Observed.Stable, p.in.Observed.Canary} {
		if ready(service) > readyOf(service, p.mem.CurrentRevision) {
			return false
		}
	}
	return true
}

// isIntrudedUpon says that a first deploy was to move its Services at once, and that others answer by the stable Service by
// now: it is a migration, then.
func (p *pass) isIntrudedUpon() bool {
	stable, memory := p.in.Observed.Stable, p.mem.StableService
	return p.mem.StableRevision == "" && p.mem.Traffic.Weight == 0 && memory.Revision == p.mem.CurrentRevision &&
		!memory.Selected && ready(stable) > readyOf(stable, memory.Revision)
}

// promoteAtOnce sets Services and routes together as soon as the pods are available.
func (p *pass) promoteAtOnce() {
	current, need := p.mem.CurrentRevision, p.spec.replicas
	if !p.isSized(need) {
		return
	}
	if p.mem.StableService.Revision != current || p.mem.CanaryService.Revision != current || ReachesCanary(p.mem.Traffic) {
		p.moveService(&p.mem.StableService, current)
		p.moveService(&p.mem.CanaryService, current)
		p.setTraffic(0, 0, false)
		return
	}
	if need > 0 && !(p.canServe(p.in.Observed.Stable, p.mem.StableService, need) &&
		p.canServe(p.in.Observed.Canary, p.mem.CanaryService, need)) {
		return
	}
	if p.isSettled() {
		p.commit()
	}
}

// promoteBeforeMove brings all traffic to the canary Service, so that the stable Service can be moved (T1).
func (p *pass) promoteBeforeMove() {
	full := max(p.spec.replicas, 1)
	switch {
	case p.moveCanary(full):
	case p.mem.Traffic.Weight < 100:
		if p.canaryCanServe(full) {
			p.setTraffic(100, 0, false)
		}
	case p.stableCarriesNothing() && p.canaryCanServe(full):
		p.event(EventServiceMoved, "all traffic is on the canary: Service %s moves to revision %s", p.in.Observed.Stable.Name, p.mem.CurrentRevision)
		p.moveService(&p.mem.StableService, p.mem.CurrentRevision)
	}
}

// promoteAfterMove brings all traffic back to the stable Service, which selects the new revision by now.
func (p *pass) promoteAfterMove() {
	canServe := func() bool {
		return p.canServe(p.in.Observed.Stable, p.mem.StableService, max(p.spec.replicas, 1))
	}
	switch {
	case p.mem.Traffic.Weight > 0:
		if canServe() {
			p.setTraffic(0, 0, false)
		}
	case p.mem.StableRevision == "" && !canServe(): // a first deploy moves its Services at once, with weight 0
	case p.isSettled():
		p.commit()
	}
}

// commit is the commit point of T8: from here on the way back is a release of its own.
func (p *pass) commit() {
	revision := p.mem.CurrentRevision
	if p.mem.StableRevision == "" {
		p.event(EventPromoted, "revision %s is deployed and serves all traffic", revision)
	} else {
		p.event(EventPromoted, "revision %s is stable and serves all traffic; revision %s keeps its pods for %s",
			revision, p.mem.StableRevision, p.spec.settle+p.spec.scaleDownDelay)
	}
	p.ended(revision, v1alpha1.OutcomePromoted, "")
	p.mem.StableRevision = revision
	p.mem.AbortedRevision, p.mem.AbortReason = "", ""
	p.mem.ForcedRevision = ""
	p.rest()
}
