// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// watchDraining notes for every revision on its way out since when nothing can reach it any more (T3). One that comes
// back as the canary keeps the moment that it had.
func (p *pass) watchDraining() {
	prior := p.mem.Draining
	p.mem.Draining = nil
	for _, rs := range p.in.Observed.ReplicaSets {
		switch {
		case rs.Desired == 0, rs.Revision == p.mem.StableRevision:
		case rs.Revision != p.mem.CurrentRevision:
			p.mem.Draining = append(p.mem.Draining, p.drain(prior, rs.Revision))
		case p.isWarm(rs.Revision):
			drain := v1alpha1.DrainMemory{Revision: rs.Revision, Since: p.now()}
			if known := drainOf(prior, rs.Revision); known.Since != nil {
				drain = *known
			}
			p.reached(p.drained(drain))
			p.mem.Draining = append(p.mem.Draining, drain)
		}
	}
}

func drainOf(draining []v1alpha1.DrainMemory, revision string) *v1alpha1.DrainMemory {
	for i := range draining {
		if draining[i].Revision == revision {
			return &draining[i]
		}
	}
	return nil
}

// isWarm says that a revision came back as the canary before the time of the pods that it was to lose. Requests from
// before may still be under way in them.
func (p *pass) isWarm(revision string) bool {
	drain := drainOf(p.prior.Draining, revision)
	if drain == nil || p.prior.Phase != v1alpha1.PhaseStepping {
		return false
	}
	return drain.Since == nil || !p.reached(p.drained(*drain))
}

// drained is when the pods of a revision may go that nothing reaches any more.
func (p *pass) drained(drain v1alpha1.DrainMemory) time.Time {
	return drain.Since.Add(p.spec.settle + p.spec.scaleDownDelay)
}

func (p *pass) drain(prior []v1alpha1.DrainMemory, revision string) v1alpha1.DrainMemory {
	drain := v1alpha1.DrainMemory{Revision: revision}
	if p.isReachable(revision) {
		return drain
	}
	drain.Since = p.now()
	if known := drainOf(prior, revision); known != nil && known.Since != nil {
		drain.Since = known.Since
	}
	p.reached(p.drained(drain))
	return drain
}

// isReachable says that a Service selects the revision, is meant to, or still has endpoints of it.
func (p *pass) isReachable(revision string) bool {
	if p.mem.StableService.Revision == revision || p.mem.CanaryService.Revision == revision {
		return true
	}
	return admits(p.in.Observed.Stable, revision) || admits(p.in.Observed.Canary, revision)
}

// drainingSize keeps the pods of a revision on its way out until its time has come; it never grows.
func (p *pass) drainingSize(rs ReplicaSet) int32 {
	drain := drainOf(p.prior.Draining, rs.Revision)
	if drain != nil && drain.Since != nil && !p.isReachable(rs.Revision) && p.reached(p.drained(*drain)) {
		return 0
	}
	return rs.Desired
}

// trimHistory deletes the oldest ReplicaSets without pods that are past the limit.
func (p *pass) trimHistory() {
	var old []ReplicaSet
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Desired == 0 && rs.Replicas == 0 && rs.Current && !p.isNeeded(rs.Revision) {
			old = append(old, rs)
		}
	}
	slices.SortFunc(old, func(a, b ReplicaSet) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Name, b.Name))
	})
	for i := int(p.spec.historyLimit); i < len(old); i++ {
		p.act(DeleteReplicaSet{
			Reason: Reason(fmt.Sprintf("more than %d ReplicaSets without pods", p.spec.historyLimit)), Name: old[i].Name,
		})
	}
}

func (p *pass) isNeeded(revision string) bool {
	needed := []string{p.prior.StableRevision, p.prior.CurrentRevision, p.target(),
		p.prior.StableService.Revision, p.prior.CanaryService.Revision}
	return slices.Contains(needed, revision)
}
