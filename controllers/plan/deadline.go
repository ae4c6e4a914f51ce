// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// keepDeadline counts the time since the last real progress, but only while the rollout waits for pods or for a route. It
// does not count while the rollout is idle, in a pause or an analysis in which the canary serves, or when only a user can make progress.
func (t *transition) keepDeadline() {
	t.keepLoss()
	isLost := t.mem.Progress.EndpointsLostAt != nil
	isComplete := t.isWell() && (t.pending == "" || t.drains())
	if (t.paused != "" || t.isTimed) && !isLost || t.spec.replicas == 0 || isComplete || t.mem.Phase == v1alpha1.PhaseIdle && t.isAborted() {
		t.mem.Progress = v1alpha1.ProgressMemory{}
		return
	}
	progress := &t.mem.Progress
	available := t.available(t.mem.StableRevision) + t.available(t.mem.CurrentRevision)
	switch {
	case isLost:
		progress.At = progress.EndpointsLostAt
	case progress.At == nil || t.progressed() || available > progress.Available:
		*progress = v1alpha1.ProgressMemory{At: t.now(), Available: available}
	}
	if t.await(t.deadline()) && t.in.Spec.ProgressDeadlineAbort && t.mem.Command == nil && t.mayAbort() {
		t.abort(t.lateness(), "")
		*progress = v1alpha1.ProgressMemory{At: t.now(), Available: available}
		t.await(t.deadline())
	}
}

// drains reports whether a revision drains and the time at which its pods are deleted is known.
func (v view) drains() bool {
	return slices.ContainsFunc(v.mem.Draining, func(drain v1alpha1.DrainMemory) bool { return drain.Since != nil })
}

// keepLoss clears a loss of all endpoints once new ones have stayed ready for half of the deadline. A canary in a crash loop
// never gets there: losing and regaining its endpoints is no progress, and the deadline counts from the first loss.
func (t *transition) keepLoss() {
	progress, readyAt := &t.mem.Progress, t.mem.CanaryService.ReadyAt
	switch {
	case progress.EndpointsLostAt == nil:
	case !t.isGoingForward(), readyAt != nil && t.await(t.until(readyAt.Add(t.spec.deadline/2))):
		*progress = v1alpha1.ProgressMemory{}
	}
}

// lateness returns why the deadline has passed.
func (v view) lateness() string {
	if lost := v.mem.Progress.EndpointsLostAt; lost != nil {
		return fmt.Sprintf("revision %s lost its last ready endpoint at %s and has not kept one for %s since",
			v.mem.CurrentRevision, clock(lost.Time), v.spec.deadline/2)
	}
	return "no progress within " + v.spec.deadline.String()
}

func (v view) mayAbort() bool {
	return v.mem.StableRevision != "" && v.mem.AbortedRevision == "" && v.isGoingForward()
}

// progressed reports whether a part of memory has changed that only changes with progress.
func (t *transition) progressed() bool {
	before, after := t.before.mem, t.mem
	return before.Phase != after.Phase || before.StepIndex != after.StepIndex || before.StepsHash != after.StepsHash ||
		before.Template.Revision != after.Template.Revision ||
		before.Traffic.Weight != after.Traffic.Weight || before.Traffic.HeaderRoutesActive != after.Traffic.HeaderRoutesActive ||
		before.Traffic.MirrorPercent != after.Traffic.MirrorPercent ||
		before.Traffic.VerifiedWeight != after.Traffic.VerifiedWeight || // not VerifiedAt: a gateway may accept and refuse a route endlessly
		serviceProgressed(before.StableService, after.StableService) ||
		serviceProgressed(before.CanaryService, after.CanaryService) && !t.isAheadOfPods()
}

// serviceProgressed reports whether a Service got another target, or its endpoints became ready.
func serviceProgressed(before, after v1alpha1.ServiceMemory) bool {
	return before.Name != after.Name || before.Revision != after.Revision || !before.ReadyAt.Equal(after.ReadyAt)
}

// isAheadOfPods reports whether the canary Service has moved to pods of which none is ready. That is no progress of the pods.
func (t *transition) isAheadOfPods() bool {
	before, after := t.before.mem.CanaryService, t.mem.CanaryService
	return before.Revision != after.Revision && after.Revision == t.mem.CurrentRevision && t.replicaSet(after.Revision).Ready == 0
}

// deadline is open when the time for progress has passed.
func (v view) deadline() gate {
	if v.mem.Progress.At == nil {
		return gate{shut: true}
	}
	return v.until(v.mem.Progress.At.Add(v.spec.deadline))
}
