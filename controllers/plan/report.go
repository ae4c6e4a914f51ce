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

// summary makes the report of a pass: the status apart from memory, and the Events about its conditions. It decides nothing.
type summary struct {
	*transition
	verdict verdict
}

// report returns the status: the memory, and what people and tools read.
func (s *summary) report() v1alpha1.CanaryRolloutStatus {
	var status v1alpha1.CanaryRolloutStatus
	status.ObservedGeneration = s.in.Generation
	status.History = s.history
	if s.mem.Template.Revision != "" || s.in.Prior.Memory != nil {
		status.Memory = s.mem.DeepCopy()
		status.Memory.Version = v1alpha1.MemoryVersion
	}
	s.reportRevisions(&status)
	s.reportTraffic(&status)
	s.reportStep(&status)
	status.StepHistory = s.reportStepHistory()
	status.Analysis = s.metricReports
	s.verdict = s.summarize()
	status.State, status.Message = s.verdict.state, s.verdict.message
	status.Conditions = s.conditions()
	bound(&status)
	return status
}

// shown returns the revision that a person asks about: the one in flight or aborted, else the stable one.
func (v view) shown() string {
	if v.isAborted() {
		return v.mem.AbortedRevision
	}
	return cmp.Or(v.mem.CurrentRevision, v.target())
}

func (s *summary) reportRevisions(status *v1alpha1.CanaryRolloutStatus) {
	status.Revision = s.shown()
	base := cmp.Or(s.mem.StableRevision, s.mem.CurrentRevision)
	if base == "" {
		return
	}
	stable := s.revisionStatus(base)
	status.Replicas = stable.Replicas
	status.Selector = labels.Set(s.in.Spec.Selector.MatchLabels).String()
	status.Images = s.images(base)
	ready, desired := stable.Ready, stable.Desired
	if s.mem.StableRevision != "" {
		status.Stable = stable
	}
	if current := s.mem.CurrentRevision; current != s.mem.StableRevision {
		status.Canary = s.revisionStatus(current)
		if s.mem.StableRevision != "" {
			ready, desired = ready+status.Canary.Ready, desired+status.Canary.Desired
			status.Images += " -> " + s.images(current)
		}
	}
	status.Ready = fmt.Sprintf("%d/%d", ready, desired)
}

func (v view) revisionStatus(revision string) *v1alpha1.RevisionStatus {
	rs := v.replicaSet(revision)
	return &v1alpha1.RevisionStatus{
		Revision: revision, Desired: rs.Desired, Replicas: rs.Replicas, Ready: rs.Ready, Available: rs.Available,
	}
}

func (s *summary) reportTraffic(status *v1alpha1.CanaryRolloutStatus) {
	traffic := s.mem.Traffic
	status.Traffic = &v1alpha1.TrafficStatus{
		DesiredWeight: traffic.Weight, VerifiedWeight: traffic.VerifiedWeight, MirrorPercent: traffic.MirrorPercent,
	}
	for _, route := range s.traffic().HeaderRoutes {
		status.Traffic.HeaderRoutes = append(status.Traffic.HeaderRoutes, route.Name)
	}
	s.strategy.report(s.transition, status.Traffic)
	if status.RevisionWeight = s.shownWeight(); status.RevisionWeight != nil {
		status.Weight = weightText(*status.RevisionWeight)
	}
}

// shownWeight returns the share of the shown revision; nil before a Service selects it. While the stable Service selects it,
// the share is 100 %, but in a first deploy not before the routes are verified to lead there.
func (s *summary) shownWeight() *v1alpha1.RevisionWeight {
	mem := s.mem
	if mem.StableRevision == "" && mem.StableService.Revision == "" {
		return nil
	}
	isShown := !s.isAborted() || mem.AbortedRevision == mem.CurrentRevision
	if isShown && mem.StableService.Revision == mem.CurrentRevision {
		if mem.StableRevision == "" && mem.Traffic.VerifiedWeight == 0 && !s.isVerified() {
			return &v1alpha1.RevisionWeight{Verified: 0, Desired: 100}
		}
		return &v1alpha1.RevisionWeight{Verified: 100, Desired: 100}
	}
	desired := mem.Traffic.Weight
	switch mem.Phase {
	case v1alpha1.PhaseStepping:
		desired = mem.StepTargets.Weight
	case v1alpha1.PhasePromoting:
		desired = 100
	case v1alpha1.PhaseIdle, v1alpha1.PhaseRollingBack:
	}
	return &v1alpha1.RevisionWeight{Verified: mem.Traffic.VerifiedWeight, Desired: desired}
}

// weightText formats a weight as status.weight shows it.
func weightText(weight v1alpha1.RevisionWeight) string {
	if weight.Verified == weight.Desired {
		return fmt.Sprint(weight.Desired)
	}
	return fmt.Sprintf("%d->%d", weight.Verified, weight.Desired)
}

func (s *summary) reportStep(status *v1alpha1.CanaryRolloutStatus) {
	total := len(s.in.Spec.Steps)
	switch {
	case s.mem.Phase == v1alpha1.PhaseStepping:
		status.Step = s.stepNumber()
	case s.mem.Phase == v1alpha1.PhasePromoting && s.mem.StableRevision != "", s.mem.Phase == v1alpha1.PhaseIdle && !s.isAborted():
		status.Step = fmt.Sprintf("%d/%d", total, total)
	default:
		status.Step = fmt.Sprintf("0/%d", total)
	}
	if s.paused == "" {
		return
	}
	status.Pause = &v1alpha1.PauseStatus{Reason: s.paused}
	if s.mem.TransitionedAt != nil && s.paused == v1alpha1.ReasonPauseStep {
		status.Pause.StartedAt = seconds(s.mem.TransitionedAt.Time)
	}
	if !s.pausedUntil.IsZero() {
		status.Pause.Until = seconds(s.pausedUntil)
	}
}

// seconds truncates a time as the API server does, so that a status that was written and read back compares equal.
func seconds(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }
