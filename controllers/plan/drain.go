// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// watchDraining notes for every revision on its way out since when nothing can reach it any more (T3).
func (p *pass) watchDraining() {
	prior := p.mem.Draining
	p.mem.Draining = nil
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Desired == 0 || rs.Revision == p.mem.StableRevision || rs.Revision == p.mem.CurrentRevision {
			continue
		}
		p.mem.Draining = append(p.mem.Draining, p.drain(prior, rs.Revision))
	}
}

func (p *pass) drain(prior []v1alpha1.DrainMemory, revision string) v1alpha1.DrainMemory {
	drain := v1alpha1.DrainMemory{Revision: revision}
	if p.isReachable(revision) {
		return drain
	}
	drain.Since = p.now()
	for _, known := range prior {
		if known.Revision == revision && known.Since != nil {
			drain.Since = known.Since
		}
	}
	p.reached(drain.Since.Add(p.spec.settle + p.spec.scaleDownDelay))
	return drain
}

// isReachable says that a Service selects the revision, is meant to, or still has endpoints of it.
func (p *pass) isReachable(revision string) bool {
	if p.mem.StableService.Revision == revision || p.mem.CanaryService.Revision == revision {
		return true
	}
	for _, service := range []Service{p.in.Observed.Stable, p.in.Observed.Canary} {
		if service.Revision == revision || endpointsOf(service, revision).Total > 0 {
			return true
		}
	}
	return false
}

// drainingSize keeps the pods of a revision on its way out until its time has come; it never grows.
func (p *pass) drainingSize(rs ReplicaSet) int32 {
	for _, drain := range p.prior.Draining {
		if drain.Revision != rs.Revision || drain.Since == nil || p.isReachable(rs.Revision) {
			continue
		}
		if p.reached(drain.Since.Add(p.spec.settle + p.spec.scaleDownDelay)) {
			return 0
		}
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
