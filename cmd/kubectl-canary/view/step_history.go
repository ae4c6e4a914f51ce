// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// StepHistory formats a table of the steps that have begun, of the release in flight or the last one.
func StepHistory(s Style, rollout *v1alpha1.CanaryRollout, now time.Time) string {
	t := &table{shrink: []int{1}}
	t.add(plain("STEP", "WHAT", "STARTED", "ACTIVE", "WAITED")...)
	for _, entry := range rollout.Status.StepHistory {
		what := "-" // the steps were edited since
		if index := int(entry.Step) - 1; index >= 0 && index < len(rollout.Spec.Steps) {
			what = Step(rollout.Spec.Steps[index])
		}
		if entry.StartedAt == nil {
			continue
		}
		end, waited := now, time.Duration(entry.WaitingSeconds)*time.Second
		if entry.EndedAt != nil {
			end = entry.EndedAt.Time
		} else {
			waited += pausedFor(rollout, entry.StartedAt.Time, now)
		}
		active := max(end.Sub(entry.StartedAt.Time)-waited, 0)
		t.add(plain(fmt.Sprint(entry.Step), what, age(entry.StartedAt.Time, now)+" ago", duration.HumanDuration(active), duration.HumanDuration(waited))...)
	}
	return join(t.lines(s))
}

// pausedFor returns for how long the pause in progress has held the current step; 0 if none does.
func pausedFor(rollout *v1alpha1.CanaryRollout, begun, now time.Time) time.Duration {
	paused := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionPaused)
	if paused == nil || paused.Status != metav1.ConditionTrue {
		return 0
	}
	since := paused.LastTransitionTime.Time
	if begun.After(since) {
		since = begun
	}
	return max(now.Sub(since), 0)
}
