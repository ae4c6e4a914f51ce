// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// play runs a release second by second, with pods of the canary that are up when isUp says so. It ends after a time, or
// in one of the states, and returns the last plan and when it was made.
func play(in Input, isUp func(after time.Duration) bool, most time.Duration, until ...v1alpha1.State) (Plan, time.Duration) {
	for start := in.Now; ; in.Now = in.Now.Add(time.Second) {
		after := in.Now.Sub(start)
		count := int32(0)
		if isUp(after) {
			count = in.Observed.ReplicaSets[1].Desired
		}
		alive("b", count)(&in)
		plan := Compute(in)
		if slices.Contains(until, plan.Status.State) || after >= most {
			return plan, after
		}
		follow(&in, plan)
		if size := scaledTo(plan, "reviews-b"); size >= 0 {
			set("b", func(rs *ReplicaSet) { rs.Desired = size })(&in)
		}
	}
}

// TestCrashLoop checks that the deadline counts from the first loss of a canary that cannot stay ready: its failovers and
// recoveries are no progress (argo-rollouts#3765, flagger#523).
func TestCrashLoop(t *testing.T) {
	const deadline, firstLoss, down = 10 * time.Minute, time.Minute, 2 * time.Minute
	timed := []v1alpha1.Step{weight(25), pause(10 * time.Minute), weight(50), pause(10 * time.Minute), weight(100)}
	for name, tc := range map[string]struct {
		steps  []v1alpha1.Step
		change change
		abort  bool
		want   v1alpha1.State
	}{
		"timed pauses abort":               {timed, nothing, true, v1alpha1.StateAborting},
		"timed pauses degrade":             {timed, nothing, false, v1alpha1.StateDegraded},
		"a pause until promoted aborts":    {[]v1alpha1.Step{weight(25), pause(0)}, nothing, true, v1alpha1.StateAborting},
		"a pause until promoted degrades":  {[]v1alpha1.Step{weight(25), pause(0)}, nothing, false, v1alpha1.StateDegraded},
		"a canary without weight aborts":   {[]v1alpha1.Step{canaryScale(1), pause(0)}, withoutWeight, true, v1alpha1.StateAborting},
		"a canary without weight degrades": {[]v1alpha1.Step{canaryScale(1), pause(0)}, withoutWeight, false, v1alpha1.StateDegraded},
	} {
		t.Run(name, func(t *testing.T) {
			for _, up := range []time.Duration{12 * time.Second, time.Minute, 2 * time.Minute} {
				in := changed(midway(25, tc.steps...), deadlineOf(deadline, tc.abort), tc.change)
				plan, after := play(in, func(after time.Duration) bool {
					return after < firstLoss || (after-firstLoss)%(down+up) >= down
				}, 3*time.Hour, tc.want, v1alpha1.StateHealthy)
				said := plan.Status.Message + plan.Status.Memory.AbortReason
				if plan.Status.State != tc.want || after > firstLoss+deadline || !strings.Contains(said, "lost its last ready endpoint") {
					t.Errorf("up for %s: %s after %s: %s", up, plan.Status.State, after, said)
				}
			}
		})
	}
}

// TestOneLoss checks that the deadline does not apply to a canary that loses its pods once and keeps the next ones.
func TestOneLoss(t *testing.T) {
	in := changed(midway(25, weight(25), pause(0)), deadlineOf(10*time.Minute, true))
	plan, _ := play(in, func(after time.Duration) bool { return after < time.Minute || after > 4*time.Minute }, time.Hour)
	if plan.Status.State != v1alpha1.StatePaused || plan.Status.Memory.Progress.EndpointsLostAt != nil {
		t.Errorf("%s, lost at %v: %s", plan.Status.State, plan.Status.Memory.Progress.EndpointsLostAt, plan.Status.Message)
	}
}

// TestPauseClock checks that a pause counts only the time in which the canary serves what the steps ask for.
func TestPauseClock(t *testing.T) {
	const length, outage = 10 * time.Minute, 3 * time.Minute
	isUp := func(after time.Duration) bool { return after < time.Minute || after >= time.Minute+outage }
	for name, pause := range map[string]v1alpha1.Pause{
		"duration": {Duration: &metav1.Duration{Duration: length}},
		"timeout":  {Timeout: &metav1.Duration{Duration: length}, OnTimeout: v1alpha1.TimeoutPromote},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(midway(25, weight(25), v1alpha1.Step{Pause: &pause}), deadlineOf(time.Hour, true))
			_, ended := play(in, isUp, time.Hour, v1alpha1.StatePromoting)
			settle := newSettings(&in.Spec).settle // the endpoints that came back settle before they get the weight
			if want := length + outage + settle; ended < want || ended > want+5*time.Second {
				t.Errorf("the pause ended after %s, want %s", ended, want)
			}
		})
	}
}

// TestPausedWhileServing checks that a rollout at a pause reports at once what the canary lacks, and is not shown as paused.
func TestPausedWhileServing(t *testing.T) {
	for name, tc := range map[string]struct {
		in    Input
		state v1alpha1.State
		says  string
	}{
		"it serves":                 {changed(midway(0, canaryScale(1), pause(0)), withoutWeight), v1alpha1.StatePaused, "paused until promoted"},
		"no ready endpoint":         {changed(midway(0, canaryScale(1), pause(0)), withoutWeight, alive("b", 0)), v1alpha1.StateProgressing, "waiting for a ready endpoint of revision b"},
		"the verification was lost": {changed(midway(25, weight(25), pause(0)), memory(func(m *v1alpha1.Memory) { m.StepIndex = 1 }), unverified), v1alpha1.StateProgressing, "HTTPRoute reviews is not verified"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Compute(tc.in).Status; got.State != tc.state || !strings.Contains(got.Message, tc.says) {
				t.Errorf("%s: %s", got.State, got.Message)
			}
		})
	}
}

// TestFirstWeightAfterRestart checks T2 for a canary that loses its pods before it gets any weight: the new pods have to
// settle like the first ones.
func TestFirstWeightAfterRestart(t *testing.T) {
	in := changed(midway(0, canaryScale(1), weight(25)), memory(func(m *v1alpha1.Memory) {
		m.StepIndex, m.StepTargets.Weight, m.StepTargets.Scale = 1, 25, atLeast(1)
	}))
	back := 2 * time.Minute
	for start, isUp := in.Now, false; ; in.Now = in.Now.Add(time.Second) {
		if after := in.Now.Sub(start); after >= back {
			isUp = true
		}
		alive("b", map[bool]int32{true: 1}[isUp])(&in)
		plan := Compute(in)
		in.Prior = plan.Status
		if plan.Status.Memory.Traffic.Weight > 0 || in.Now.Sub(start) > time.Hour {
			if want := back + newSettings(&in.Spec).settle; in.Now.Sub(start) != want {
				t.Errorf("the first weight is set after %s, want %s", in.Now.Sub(start), want)
			}
			return
		}
	}
}

func nothing(*Input) {}

func deadlineOf(deadline time.Duration, abort bool) change {
	return func(in *Input) {
		seconds := int32(deadline / time.Second)
		in.Spec.ProgressDeadlineSeconds, in.Spec.ProgressDeadlineAbort = &seconds, abort
	}
}

// withoutWeight has a canary with its pods behind its Service and no traffic.
func withoutWeight(in *Input) {
	mem := in.Prior.Memory
	mem.StepIndex, mem.StepTargets.Weight, mem.StepTargets.Scale = 1, 0, atLeast(1)
	mem.Traffic.Weight, mem.Traffic.VerifiedWeight = 0, 0
	in.Observed.Routes[0].Weight = 0
}
