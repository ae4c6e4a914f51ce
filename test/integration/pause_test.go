// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// TestTimedPause: the pause ends when status.pause.until says.
func TestTimedPause(t *testing.T) {
	a := paused(t, "1/2", builder.Pause(2*time.Second), builder.Hold())
	pause := a.rollout().Status.Pause
	if pause == nil || pause.StartedAt == nil || pause.Until == nil || pause.Until.Sub(pause.StartedAt.Time) != 2*time.Second {
		t.Fatalf("status.pause is %+v", pause)
	}
	ended := a.waitForPublication("the end of the pause", func(published publication) bool {
		return published.rollout.Status.Step == "2/2"
	}).at
	// The times in the status are truncated to whole seconds.
	if late := ended.Sub(pause.Until.Time); late < 0 || late > 3*time.Second {
		t.Errorf("the pause until %s ended at %s", pause.Until.UTC().Format(time.TimeOnly), ended.UTC().Format(time.TimeOnly))
	}
}

// TestPromoteEndsTimedPause: promote=true also leaves a timed pause.
func TestPromoteEndsTimedPause(t *testing.T) {
	a := paused(t, "1/2", builder.Pause(time.Hour), builder.Hold())
	a.annotate(promote, "true")
	a.waitForStep(v1alpha1.StatePaused, "2/2")
}

// TestPauseTimeoutAborts: the release aborts if nobody promotes it in time.
func TestPauseTimeoutAborts(t *testing.T) {
	a := paused(t, "1/1", builder.HoldAtMost(2*time.Second, v1alpha1.TimeoutAbort))
	if pause := a.rollout().Status.Pause; pause == nil || pause.Until == nil {
		t.Errorf("status.pause is %+v, without an end", pause)
	}
	a.waitForState(v1alpha1.StateAborted)
	if entry := a.rollout().Status.History[0]; !strings.Contains(entry.Message, "not promoted within 2s") {
		t.Errorf("the aborted release says %q", entry.Message)
	}
}

// TestPauseTimeoutPromotes: the release continues by itself after the timeout.
func TestPauseTimeoutPromotes(t *testing.T) {
	a := paused(t, "1/2", builder.HoldAtMost(2*time.Second, v1alpha1.TimeoutPromote), builder.Hold())
	a.waitForStep(v1alpha1.StatePaused, "2/2")
}

// waitForSpecPaused waits until spec.paused holds the rollout.
func (a *app) waitForSpecPaused() *v1alpha1.CanaryRollout {
	a.t.Helper()
	return a.waitFor("spec.paused to hold", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && r.Status.Pause.Reason == "SpecPaused"
	})
}

// TestSpecPausedHoldsTheStart: a new template waits, and continues by itself when spec.paused is set to false.
func TestSpecPausedHoldsTheStart(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	a.patch(`{"spec":{"paused":true}}`)
	a.setImage(builder.ImageV2)
	rollout := a.waitForSpecPaused()
	checkConditions(t, rollout, inFlight("SpecPaused").with("Paused", "True SpecPaused"))
	if rollout = a.barrier(); rollout.Status.Canary != nil || len(a.pods("app=reviews")) != 2 {
		t.Errorf("a canary in spite of spec.paused: %s", describe(rollout))
	}
	a.patch(`{"spec":{"paused":false}}`)
	a.waitForStep(v1alpha1.StatePaused, "2/2")
}

// TestSpecPausedHoldsTheSteps: promote leaves the pause, but the weight of the next step waits for spec.paused.
func TestSpecPausedHoldsTheSteps(t *testing.T) {
	a := paused(t, "2/4", builder.Scale(1), builder.Hold(), builder.Weight(50), builder.Hold())
	a.patch(`{"spec":{"paused":true}}`)
	a.waitForSpecPaused()
	a.annotate(promote, "true")
	a.checkRemovedOnce("promote")
	if rollout := a.barrier(); rollout.Status.Traffic.DesiredWeight != 0 || rollout.Status.State != v1alpha1.StatePaused {
		t.Errorf("traffic moved in spite of spec.paused: %s", describe(rollout))
	}
	a.checkTraffic("100/0")
	a.patch(`{"spec":{"paused":false}}`)
	a.waitFor("a pause step", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && r.Status.Pause.Reason == "PauseStep"
	})
}

// TestSpecPausedHoldsThePromotion stops between the last step and the commit point.
func TestSpecPausedHoldsThePromotion(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Settle(1))
	stable := a.waitForState(v1alpha1.StateHealthy).Status.Stable.Revision
	a.setImage(builder.ImageV2)
	a.waitForState(v1alpha1.StatePromoting)
	a.patch(`{"spec":{"paused":true}}`)
	a.waitForSpecPaused()
	if rollout := a.barrier(); rollout.Status.Stable.Revision != stable || rollout.Status.State != v1alpha1.StatePaused {
		t.Errorf("promoted in spite of spec.paused: %s", describe(rollout))
	}
	a.patch(`{"spec":{"paused":false}}`)
	a.waitForStable(builder.ImageV2)
}

// TestStableDiesInPause: a pause does not hide that requests to the stable Service fail.
func TestStableDiesInPause(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	stable := a.rollout().Status.Stable.Revision
	a.fail(t.Context(), stable, "true")
	a.waitFor("the failing requests", func(r *v1alpha1.CanaryRollout) bool {
		available := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionAvailable)
		return r.Status.State == v1alpha1.StatePaused && strings.HasPrefix(r.Status.Message, "Service reviews-stable has no ready endpoint, so requests to it fail") &&
			available.Reason == v1alpha1.ReasonStableUnavailable
	})
	a.waitForEvent("Warning", v1alpha1.ReasonStableUnavailable, "Service reviews-stable has no ready endpoint")
	a.fail(t.Context(), stable, "")
	a.waitFor("the end of that", func(r *v1alpha1.CanaryRollout) bool {
		return !strings.Contains(r.Status.Message, "has no ready endpoint")
	})
	a.waitForEvent("Normal", plan.EventRecovered, "StableUnavailable is over")
}
