// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// keepDeadline counts the time since the last real progress, but only while the rollout waits for pods or for a route:
// never at rest, in a pause in which the canary serves, or when there is nothing that could come by itself.
func (t *transition) keepDeadline() {
	t.keepLoss()
	isLost := t.mem.Progress.EndpointsLostAt != nil
	isComplete := t.isWell() && (t.pending == "" || t.drains())
	if t.paused != "" && !isLost || t.spec.replicas == 0 || isComplete || t.mem.Phase == v1alpha1.PhaseIdle && t.isAborted() {
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
		t.abort(t.lateness())
		*progress = v1alpha1.ProgressMemory{At: t.now(), Available: available}
		t.await(t.deadline())
	}
}

// drains says that a revision is on its way out and goes at a moment that is known.
func (v view) drains() bool {
	return slices.ContainsFunc(v.mem.Draining, func(drain v1alpha1.DrainMemory) bool { return drain.Since != nil })
}

// keepLoss forgets a loss of all endpoints once the next ones have stayed for half of the deadline. A canary that crashes
// again and again does not get there: its flights and returns are no progress, and the deadline counts from the first.
func (t *transition) keepLoss() {
	progress, readyAt := &t.mem.Progress, t.mem.CanaryService.ReadyAt
	switch {
	case progress.EndpointsLostAt == nil:
	case !t.isGoingForward(), readyAt != nil && t.await(t.until(readyAt.Add(t.spec.deadline/2))):
		*progress = v1alpha1.ProgressMemory{}
	}
}

// lateness says why the deadline has passed.
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

// progressed compares the parts of memory that only change when the rollout gets on.
func (t *transition) progressed() bool {
	before, after := t.before.mem, t.mem
	return before.Phase != after.Phase || before.StepIndex != after.StepIndex || before.StepsHash != after.StepsHash ||
		before.Template.Revision != after.Template.Revision ||
		before.Traffic.Weight != after.Traffic.Weight || before.Traffic.HeaderRoutesActive != after.Traffic.HeaderRoutesActive ||
		before.Traffic.MirrorPercent != after.Traffic.MirrorPercent ||
		before.Traffic.VerifiedWeight != after.Traffic.VerifiedWeight || // not each proof: a gateway may take it back for ever
		serviceProgressed(before.StableService, after.StableService) ||
		serviceProgressed(before.CanaryService, after.CanaryService) && !t.isAheadOfPods()
}

// serviceProgressed says that a Service has got another target, or its endpoints.
func serviceProgressed(before, after v1alpha1.ServiceMemory) bool {
	return before.Name != after.Name || before.Revision != after.Revision || !before.ReadyAt.Equal(after.ReadyAt)
}

// isAheadOfPods says that the canary Service has moved to pods of which none is ready: they have not got on by that.
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
