// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// stepBegan opens an entry in the history of the steps.
func (t *transition) stepBegan(index int) {
	t.stepHistory = append(t.stepHistory, v1alpha1.StepHistoryEntry{Step: int32(index) + 1, StartedAt: seconds(t.in.Now)})
}

// stepEnded closes the entry of the current step, if there is one.
func (t *transition) stepEnded() {
	if entry := t.openStep(); entry != nil {
		t.countWaiting(entry)
		entry.EndedAt = seconds(t.in.Now)
	}
}

// openStep returns the entry of the current step; nil if there is none.
func (t *transition) openStep() *v1alpha1.StepHistoryEntry {
	if last := len(t.stepHistory) - 1; last >= 0 && t.stepHistory[last].EndedAt == nil {
		return &t.stepHistory[last]
	}
	return nil
}

// countWaiting adds the pause that ends now to the time for which a step waited. Since when it has lasted is in its condition, so
// that nothing has to be written while it lasts. It may have begun before the step: with spec.paused, or at a pause step before.
func (t *transition) countWaiting(entry *v1alpha1.StepHistoryEntry) {
	paused := meta.FindStatusCondition(t.in.Prior.Conditions, v1alpha1.ConditionPaused)
	if paused == nil || paused.Status != metav1.ConditionTrue || entry.StartedAt == nil {
		return
	}
	since := paused.LastTransitionTime.Time
	if entry.StartedAt.After(since) {
		since = entry.StartedAt.Time
	}
	entry.WaitingSeconds += max(int64(seconds(t.in.Now).Sub(since).Seconds()), 0)
}

// reportStepHistory counts a pause that ended while its step continues.
func (s *summary) reportStepHistory() []v1alpha1.StepHistoryEntry {
	if entry := s.openStep(); entry != nil && s.paused == "" {
		s.countWaiting(entry)
	}
	return s.stepHistory
}
