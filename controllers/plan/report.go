// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// report makes the status: the memory, and beside it what people and tools read.
func (p *pass) report() {
	for _, action := range p.plan.Actions {
		if _, gone := action.(RemoveFinalizer); gone {
			p.plan.Status = *p.in.Prior.DeepCopy()
			return
		}
	}
	status := &p.plan.Status
	status.ObservedGeneration = p.in.Generation
	status.History = p.history
	if p.mem.Template.Revision != "" || p.in.Prior.Memory != nil {
		status.Memory = p.mem.DeepCopy()
		status.Memory.Version = v1alpha1.MemoryVersion
	}
	p.reportRevisions(status)
	p.reportTraffic(status)
	p.reportStep(status)
	verdict := p.judge()
	status.State, status.Message = verdict.state, verdict.message
	status.Conditions = p.conditions(verdict)
	bound(status)
}

// shown is the revision that a person asks about: the one in flight or aborted, else the stable one.
func (p *pass) shown() string {
	if p.isAborted() {
		return p.mem.AbortedRevision
	}
	return cmp.Or(p.mem.CurrentRevision, p.target())
}

func (p *pass) reportRevisions(status *v1alpha1.CanaryRolloutStatus) {
	status.Revision = p.shown()
	base := cmp.Or(p.mem.StableRevision, p.mem.CurrentRevision)
	if base == "" {
		return
	}
	stable := p.revisionStatus(base)
	status.Replicas = stable.Replicas
	status.Selector = labels.Set(p.in.Spec.Selector.MatchLabels).String()
	status.Images = p.images(base)
	ready, desired := stable.Ready, stable.Desired
	if p.mem.StableRevision != "" {
		status.Stable = stable
	}
	if current := p.mem.CurrentRevision; current != p.mem.StableRevision {
		status.Canary = p.revisionStatus(current)
		if p.mem.StableRevision != "" {
			ready, desired = ready+status.Canary.Ready, desired+status.Canary.Desired
			status.Images += " -> " + p.images(current)
		}
	}
	status.Ready = fmt.Sprintf("%d/%d", ready, desired)
}

func (p *pass) revisionStatus(revision string) *v1alpha1.RevisionStatus {
	rs := p.replicaSet(revision)
	return &v1alpha1.RevisionStatus{
		Revision: revision, Desired: rs.Desired, Replicas: rs.Replicas, Ready: rs.Ready, Available: rs.Available,
	}
}

func (p *pass) reportTraffic(status *v1alpha1.CanaryRolloutStatus) {
	traffic := p.mem.Traffic
	status.Traffic = &v1alpha1.TrafficStatus{
		DesiredWeight: traffic.Weight, VerifiedWeight: traffic.VerifiedWeight, MirrorPercent: traffic.MirrorPercent,
	}
	if traffic.HeaderRoutesActive {
		for _, route := range p.mem.StepHeaderRoutes {
			status.Traffic.HeaderRoutes = append(status.Traffic.HeaderRoutes, route.Name)
		}
	}
	p.reportRoutes(status.Traffic)
	if status.RevisionWeight = p.shownWeight(); status.RevisionWeight != nil {
		status.Weight = weightText(*status.RevisionWeight)
	}
}

// shownWeight is the share of the shown revision, or nil before a Service selects it. While the stable Service selects
// it, that is 100 %, but not before the routes of a first deploy are verified to lead there.
func (p *pass) shownWeight() *v1alpha1.RevisionWeight {
	mem := p.mem
	if mem.StableRevision == "" && mem.StableService.Revision == "" {
		return nil
	}
	if !p.isAborted() && mem.StableService.Revision == mem.CurrentRevision {
		if mem.StableRevision == "" && mem.Traffic.VerifiedWeight == 0 && !p.isVerified() {
			return &v1alpha1.RevisionWeight{Verified: 0, Desired: 100}
		}
		return &v1alpha1.RevisionWeight{Verified: 100, Desired: 100}
	}
	want := mem.Traffic.Weight
	switch mem.Phase {
	case v1alpha1.PhaseStepping:
		want = mem.StepWeight
	case v1alpha1.PhasePromoting:
		want = 100
	case v1alpha1.PhaseIdle, v1alpha1.PhaseRollingBack:
	}
	return &v1alpha1.RevisionWeight{Verified: mem.Traffic.VerifiedWeight, Desired: want}
}

// weightText is a weight as status.weight shows it.
func weightText(weight v1alpha1.RevisionWeight) string {
	if weight.Verified == weight.Desired {
		return fmt.Sprint(weight.Desired)
	}
	return fmt.Sprintf("%d->%d", weight.Verified, weight.Desired)
}

func (p *pass) reportStep(status *v1alpha1.CanaryRolloutStatus) {
	total := len(p.in.Spec.Steps)
	switch {
	case p.mem.Phase == v1alpha1.PhaseStepping:
		status.Step = p.stepNumber()
	case p.mem.Phase == v1alpha1.PhasePromoting && p.mem.StableRevision != "", p.mem.Phase == v1alpha1.PhaseIdle && !p.isAborted():
		status.Step = fmt.Sprintf("%d/%d", total, total)
	default:
		status.Step = fmt.Sprintf("0/%d", total)
	}
	if p.paused == "" {
		return
	}
	status.Pause = &v1alpha1.PauseStatus{Reason: p.paused}
	if p.mem.TransitionedAt != nil && p.paused == v1alpha1.ReasonPauseStep {
		status.Pause.StartedAt = seconds(p.mem.TransitionedAt.Time)
	}
	if !p.pausedUntil.IsZero() {
		status.Pause.Until = seconds(p.pausedUntil)
	}
}

// seconds is a time as the API server stores it, so that a status that was written and read back compares equal.
func seconds(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }
