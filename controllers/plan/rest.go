// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// begin makes the first memory: nothing, or what is found running (adoption).
func (p *pass) begin() {
	p.addFinalizer()
	if p.target() == "" {
		return
	}
	p.setReplicas()
	p.recognise()
	for _, orphan := range p.in.Observed.Orphans {
		p.act(AdoptReplicaSet{Reason: Reason("it runs, has no owner and matches the selector"), Name: orphan.Name})
	}
	if stable := p.running(); stable != "" {
		p.adopt(stable)
		return
	}
	p.mem.CurrentRevision = p.target()
	p.enter(v1alpha1.PhasePromoting)
	p.began(p.target())
	p.event(EventStarted, "first deploy of revision %s (%s)", p.target(), p.in.Observed.Template.Images)
}

func (p *pass) addFinalizer() {
	if !p.in.HasFinalizer {
		p.act(AddFinalizer{"traffic has to be handed back before the rollout goes"})
	}
}

// setReplicas makes the size that is in force visible to autoscalers, which read spec.replicas.
func (p *pass) setReplicas() {
	if p.in.Spec.Replicas == nil {
		p.act(SetReplicas{Reason: "spec.replicas is not set: the present size is kept", Replicas: p.spec.replicas})
	}
}

// runningSize stands in for spec.replicas while that is not set: what serves keeps its size, and a first deploy gets one
// pod. While there is no memory, all that runs serves.
func (p *pass) runningSize() int32 {
	if p.in.Prior.Memory != nil {
		if rs := p.replicaSet(cmp.Or(p.prior.StableRevision, p.prior.CurrentRevision)); rs.Name != "" {
			return rs.Desired
		}
		return 1
	}
	var size int32
	for _, rs := range p.in.Observed.ReplicaSets {
		size += rs.Desired
	}
	for _, orphan := range p.in.Observed.Orphans {
		size += orphan.Desired
	}
	return max(size, 1)
}

// running finds the revision that serves: the one that the stable Service names (memory was lost), the one with an
// equal template, or the one with the most ready pods.
func (p *pass) running() string {
	var candidates []candidate
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Desired > 0 {
			candidates = append(candidates, p.candidate(rs.Revision, rs.Revision == p.target(), rs.Ready))
		}
	}
	for _, orphan := range p.in.Observed.Orphans {
		candidates = append(candidates, p.candidate(orphan.Revision, orphan.Equal, orphan.Ready))
	}
	if len(candidates) == 0 {
		return ""
	}
	return slices.MaxFunc(candidates, candidate.compare).revision
}

// candidate is a running revision that could be the stable one.
type candidate struct {
	revision     string
	named, equal bool
	ready        int32
}

func (p *pass) candidate(revision string, equal bool, ready int32) candidate {
	return candidate{revision: revision, named: revision == p.in.Observed.Stable.Revision && ready > 0, equal: equal, ready: ready}
}

func (c candidate) compare(other candidate) int {
	rank := func(c candidate) int { // of two, the one that is named outweighs the one that is equal
		switch {
		case c.named:
			return 2
		case c.equal:
			return 1
		default:
			return 0
		}
	}
	return cmp.Or(cmp.Compare(rank(c), rank(other)), cmp.Compare(c.ready, other.ready), cmp.Compare(c.revision, other.revision))
}

func (p *pass) adopt(revision string) {
	p.mem.StableRevision = revision
	p.rest()
	p.mem.StableService.Revision, p.mem.CanaryService.Revision = revision, revision
	size := ""
	if running := p.runningSize(); running != p.spec.replicas {
		size = fmt.Sprintf("; spec.replicas takes it from %d to %s", running, Quantity(p.spec.replicas, "pod"))
	}
	p.event(EventAdopted, "revision %s runs already: adopted as stable, no pod restarts%s", revision, size)
}

// rest ends whatever was in flight.
func (p *pass) rest() {
	p.mem.CurrentRevision = p.mem.StableRevision
	p.mem.StepIndex, p.mem.StepsHash = 0, ""
	p.mem.StepWeight, p.mem.StepMirrorPercent, p.mem.StepHeaderRoutes, p.mem.StepScale = 0, 0, nil, nil
	p.enter(v1alpha1.PhaseResting)
}

// resting looks whether the template asks for another revision than the stable one.
func (p *pass) resting() {
	target := p.target()
	switch {
	case target == "" || target == p.mem.AbortedRevision:
		return
	case target == p.mem.StableRevision:
		p.mem.AbortedRevision, p.mem.AbortReason = "", ""
	case p.hold():
	case p.spec.replicas == 0:
		p.start(target)
		p.enter(v1alpha1.PhasePromoting)
	default:
		p.start(target)
	}
}

// isAborted says that the template in spec was aborted and waits for a retry or for another template.
func (p *pass) isAborted() bool {
	return p.mem.AbortedRevision != "" && p.mem.AbortedRevision == p.target()
}
