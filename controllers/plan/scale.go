// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// replicaSetActions creates what is missing, sizes what is there, and deletes what is past the history limit.
func (p *pass) replicaSetActions() {
	for _, revision := range p.serving() {
		p.createMissing(revision)
	}
	for _, rs := range p.in.Observed.ReplicaSets {
		p.scale(rs)
	}
	p.markReplicaSets()
	p.trimHistory()
}

// serving are the revisions that memory wants pods of.
func (p *pass) serving() []string {
	current, stable := p.prior.CurrentRevision, p.prior.StableRevision
	switch {
	case stable == "":
		return []string{current}
	case current == stable, p.prior.Phase == v1alpha1.PhaseRollingBack:
		return []string{stable}
	default:
		return []string{stable, current}
	}
}

// createMissing can only make pods of the template in spec: another revision's template went with its ReplicaSet.
func (p *pass) createMissing(revision string) {
	if p.replicaSet(revision).Name != "" || p.target() != revision || p.prior.Template.Revision != revision {
		return
	}
	p.act(CreateReplicaSet{
		Reason: Reason("revision " + revision + " has no ReplicaSet"), Revision: revision,
		TemplateHash: p.prior.Template.Hash, Replicas: p.size(ReplicaSet{Revision: revision}),
	})
}

func (p *pass) scale(rs ReplicaSet) {
	replicas, minReadySeconds := p.size(rs), p.in.Spec.MinReadySeconds
	if rs.Desired == replicas && rs.MinReadySeconds == minReadySeconds {
		return
	}
	p.act(ScaleReplicaSet{
		Reason: Reason(fmt.Sprintf("%s revision %s from %d to %s", p.role(rs.Revision), rs.Revision, rs.Desired, Quantity(replicas, "pod"))),
		Name:   rs.Name, Replicas: replicas, MinReadySeconds: minReadySeconds,
	})
}

// size is how many pods a ReplicaSet should have.
func (p *pass) size(rs ReplicaSet) int32 {
	replicas := p.spec.replicas
	switch {
	case replicas == 0, rs.Revision == "":
		return 0
	case rs.Revision == p.prior.StableRevision:
		return replicas
	case rs.Revision != p.prior.CurrentRevision:
		return p.drainingSize(rs)
	case p.prior.Phase == v1alpha1.PhaseStepping && p.isWarm(rs.Revision):
		return max(rs.Desired, p.canarySize())
	case p.prior.Phase == v1alpha1.PhaseStepping:
		return p.canarySize()
	case p.prior.Phase == v1alpha1.PhasePromoting, p.prior.StableService.Revision == rs.Revision:
		return replicas
	default: // returning: an aborted canary never grows
		return rs.Desired
	}
}

// canarySize is the size that the steps ask for, and never less than the traffic needs; unless it is pinned.
func (p *pass) canarySize() int32 {
	traffic := p.prior.Traffic
	byLoad := p.needFor(max(traffic.MaxLoadPercent, loadOf(traffic.Weight, traffic.MirrorPercent),
		loadOf(p.prior.StepWeight, p.prior.StepMirrorPercent)))
	pinned, asked := p.stepScale()
	if pinned {
		return asked
	}
	size := max(byLoad, asked)
	if len(p.prior.StepHeaderRoutes) > 0 || p.prior.CanaryService.Revision == p.prior.CurrentRevision {
		size = max(size, 1) // a header route never leads to no pod, and what the canary Service selects has one (T3)
	}
	return size
}

// stepScale is the size that the last setCanaryScale asks for, and whether it is pinned.
func (p *pass) stepScale() (pinned bool, size int32) {
	scale := p.prior.StepScale
	switch {
	case scale == nil:
		return false, 0
	case scale.Replicas != nil:
		size = *scale.Replicas
	case scale.Weight != nil:
		size = share(p.spec.replicas, *scale.Weight)
	}
	if scale.Mode == v1alpha1.ScaleModeExact {
		return true, max(size, 1)
	}
	return false, size
}

// loadOf is the part of all requests that a canary answers: its own, and the copies of a mirror.
func loadOf(weight, mirror int32) int32 { return min(weight+mirror, 100) }

// needFor is the number of ready pods that a weight takes (T2).
func (p *pass) needFor(weight int32) int32 {
	if weight == 0 {
		return 0
	}
	if pinned, size := p.stepScale(); pinned && p.prior.Phase == v1alpha1.PhaseStepping {
		return size
	}
	return max(1, share(p.spec.replicas, weight))
}

func (p *pass) role(revision string) string {
	switch revision {
	case p.prior.StableRevision:
		return "stable"
	case p.prior.CurrentRevision:
		return "canary"
	default:
		return "former"
	}
}
