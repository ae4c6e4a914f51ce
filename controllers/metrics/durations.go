// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Outcomes of steps. A step in which the release ends has the outcome of the release instead.
const (
	// stepCompleted means that the release advanced to the next step, by itself or by a promote.
	stepCompleted = "Completed"
	// stepSkipped means that promote=full skipped the rest of the step.
	stepSkipped = "Skipped"
)

// stateSince derives the time from the object, so that it survives a restart. A change of state changes one of these
// conditions or begins a phase: a promotion or a rollback. A retry during a rollback does neither: the time runs on.
func stateSince(rollout *v1alpha1.CanaryRollout) time.Time {
	status := &rollout.Status
	if status.State == v1alpha1.StateTerminating && rollout.DeletionTimestamp != nil {
		return rollout.DeletionTimestamp.Time
	}
	var since time.Time
	for _, kind := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionPaused,
	} {
		if condition := meta.FindStatusCondition(status.Conditions, kind); condition != nil && condition.LastTransitionTime.After(since) {
			since = condition.LastTransitionTime.Time
		}
	}
	memory := ptr.Deref(status.Memory, v1alpha1.Memory{})
	isPhase := memory.Phase == v1alpha1.PhasePromoting || memory.Phase == v1alpha1.PhaseRollingBack
	if isPhase && memory.TransitionedAt != nil && memory.TransitionedAt.After(since) {
		since = memory.TransitionedAt.Time
	}
	return since
}

// pauseEnd returns zero if there is no pause, or none that ends by itself.
func pauseEnd(status *v1alpha1.CanaryRolloutStatus) time.Time {
	if status.Pause == nil || status.Pause.Until == nil {
		return time.Time{}
	}
	return status.Pause.Until.Time
}

// recordStep observes the duration of a step when the release leaves it. Steps that end in the same write as the one before
// them took no time, and are not observed.
func recordStep(prev, next *v1alpha1.CanaryRollout) {
	before, after := prev.Status.Memory, next.Status.Memory
	if after == nil || after.TransitionedAt == nil || before == nil || before.TransitionedAt == nil || before.Phase != v1alpha1.PhaseStepping ||
		int(before.StepIndex) >= len(next.Spec.Steps) {
		return
	}
	if outcome := stepOutcome(before, next); outcome != "" {
		took := after.TransitionedAt.Sub(before.TransitionedAt.Time)
		stepDuration.WithLabelValues(next.Namespace, next.Name, outcome).Observe(took.Seconds())
	}
}

// stepOutcome is empty while the step is in progress, and when the steps were edited and start over.
func stepOutcome(before *v1alpha1.Memory, next *v1alpha1.CanaryRollout) string {
	after := next.Status.Memory
	switch {
	case after.CurrentRevision != before.CurrentRevision, after.Phase == v1alpha1.PhaseRollingBack, after.Phase == v1alpha1.PhaseIdle:
		return releaseOutcome(before.CurrentRevision, next.Status.History)
	case after.StepsHash != before.StepsHash, after.StepIndex <= before.StepIndex:
		return ""
	case before.Command != nil && before.Command.Command == v1alpha1.CommandPromoteFull:
		return stepSkipped
	default:
		return stepCompleted
	}
}

// releaseOutcome returns the outcome of the newest release of a revision, or an empty string if it has not ended.
func releaseOutcome(revision string, history []v1alpha1.HistoryEntry) string {
	for _, entry := range history {
		if entry.Revision == revision && entry.EndedAt != nil {
			return string(entry.Outcome)
		}
	}
	return ""
}

// recordReleases observes the releases that ended in this pass.
func recordReleases(prev, next *v1alpha1.CanaryRollout) {
	for _, entry := range next.Status.History {
		if entry.EndedAt == nil || entry.StartedAt == nil || !wasRunning(prev, entry) {
			continue
		}
		releaseDuration.WithLabelValues(next.Namespace, next.Name, string(entry.Outcome)).
			Observe(entry.EndedAt.Sub(entry.StartedAt.Time).Seconds())
	}
}

// wasRunning reports whether the release of an entry had not ended before.
func wasRunning(prev *v1alpha1.CanaryRollout, entry v1alpha1.HistoryEntry) bool {
	for _, before := range prev.Status.History {
		if before.Revision == entry.Revision && before.StartedAt.Equal(entry.StartedAt) {
			return before.EndedAt == nil
		}
	}
	return false
}
