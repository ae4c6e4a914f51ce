// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestReportsWait checks that a status for which nobody waits is written at most once a second, at exactly that time, and that the
// last one is always written in the end.
func TestReportsWait(t *testing.T) {
	h := newHarness(t, aRollout())
	at := func(after time.Duration, next plan.Plan, wantDelay time.Duration, wantRequests ...string) {
		t.Helper()
		h.Clock, h.plan = testingclock.NewFakePassiveClock(start.Add(after)), next
		result, err := h.reconcile(t)
		if err != nil || result.RequeueAfter != wantDelay {
			t.Errorf("after %s: result = %+v, %v, want %s", after, result, err, wantDelay)
		}
		h.requests = withoutReads(h.requests)
		h.wantRequests(t, wantRequests...)
	}
	says := func(message string) plan.Plan { return plan.Plan{Status: withMessage(message)} }
	degraded := says("five")
	degraded.Status.State = v1alpha1.StateDegraded
	announced := degraded
	announced.Status.Message, announced.Events = "six", []plan.Event{{Reason: "A", Message: "m"}}
	later := degraded
	later.Status.Message, later.WakeAt = "seven", start.Truncate(time.Microsecond).Add(2500*time.Millisecond)

	at(0, says("one"), 0, "status") // memory has changed
	at(300*time.Millisecond, says("two"), 700*time.Millisecond)
	at(600*time.Millisecond, says("three"), 400*time.Millisecond)
	if got := h.stored(t).Status.Message; got != "one" {
		t.Errorf("the status says %q", got)
	}
	at(time.Second, says("three"), 0, "status")
	at(1100*time.Millisecond, says("four"), 900*time.Millisecond)
	at(1200*time.Millisecond, degraded, 0, "status")  // a state never waits
	at(1300*time.Millisecond, announced, 0, "status") // nor does an Event
	at(1400*time.Millisecond, says("three"), 0, "status")
	at(1500*time.Millisecond, degraded, 0, "status")
	at(1600*time.Millisecond, later, 900*time.Millisecond)
	at(1700*time.Millisecond, degraded, 0) // it is as stored again
	degraded.Status.Message = "eight"
	at(-15*time.Minute, degraded, 0, "status") // a clock that was put back

	restarted := newHarness(t, h.stored(t))
	restarted.plan = says("nine")
	if _, err := restarted.reconcile(t); err != nil || restarted.stored(t).Status.Message != "nine" {
		t.Errorf("the first report after a restart waits: %q, %v", restarted.stored(t).Status.Message, err)
	}
}

// TestReportsOfErrorsDoNotWait: a pass without the revision of the template ends with an error, so none follows at the end of that
// second.
func TestReportsOfErrorsDoNotWait(t *testing.T) {
	h := newHarness(t, aRollout())
	h.fail["dry run"] = apierrors.NewTimeoutError("a webhook does not answer", 1)
	for _, message := range []string{"one", "two"} {
		h.plan = plan.Plan{Status: withMessage(message)}
		h.plan.Status.Memory.Template = v1alpha1.TemplateMemory{}
		if _, err := h.reconcile(t); err == nil {
			t.Fatal("no error")
		}
		if got := h.stored(t).Status.Message; got != message {
			t.Errorf("the status says %q, want %q", got, message)
		}
	}
}

func withoutReads(requests []string) (writes []string) {
	for _, request := range requests {
		if request != "get" && request != "dry run" {
			writes = append(writes, request)
		}
	}
	return writes
}

// TestUnfinishedPass checks that the watch event of a status starts the next pass only if the plan was not finished.
func TestUnfinishedPass(t *testing.T) {
	for _, isUnfinished := range []bool{false, true} {
		h := newHarness(t, aRollout())
		h.plan = plan.Plan{Status: withMessage("planned"), Unfinished: isUnfinished}
		if _, err := h.reconcile(t); err != nil {
			t.Fatal(err)
		}
		starts := false
		rollout := observe.Object{Kind: observe.RolloutKind, Name: key.Name}
		h.Observer.Tracker.Judge(key, rollout, h.stored(t).ResourceVersion, func() { starts = true })
		if starts != isUnfinished {
			t.Errorf("unfinished: %t, and its event starts a pass: %t", isUnfinished, starts)
		}
	}
}

// TestActionsAreFollowed: some gateways never report anything, so a pass with actions is followed by another one.
func TestActionsAreFollowed(t *testing.T) {
	h := newHarness(t, aRollout())
	h.plan = plan.Plan{Actions: []plan.Action{plan.AddFinalizer{}}, Status: withMessage("planned")}
	if result, err := h.reconcile(t); err != nil || result.RequeueAfter != reactionTime {
		t.Errorf("result = %+v, %v", result, err)
	}
}

// slowly is a Normalizer that takes its time.
type slowly struct {
	observe.Normalizer

	clock *testingclock.FakeClock
	takes time.Duration
}

// Normalize implements observe.Normalizer.
func (s slowly) Normalize(ctx context.Context, replicaSet *unstructured.Unstructured) error {
	s.clock.Step(s.takes)
	return s.Normalizer.Normalize(ctx, replicaSet)
}

// TestTimesOfASlowPass: what a plan finds counts from when it was observed, and not from before a slow dry run. The wake-up is exact
// although the writes of the pass take time, too.
func TestTimesOfASlowPass(t *testing.T) {
	h := newHarness(t, aRollout())
	clock := testingclock.NewFakeClock(start.Truncate(time.Microsecond))
	h.Clock, h.Observer.Normalizer = clock, slowly{h.Observer.Normalizer, clock, 6 * time.Second}
	h.Reconciler.Status = eager{h.Reconciler.Status, func() { clock.Step(2 * time.Second) }}
	h.plan = plan.Plan{Status: withMessage("planned"), WakeAt: clock.Now().Add(10 * time.Second)}
	result, err := h.reconcile(t)
	if err != nil || !h.in.Now.Equal(start.Truncate(time.Microsecond).Add(6*time.Second)) || result.RequeueAfter != 2*time.Second {
		t.Errorf("planned at %s, and the next pass is after %s, %v", h.in.Now, result.RequeueAfter, err)
	}
}
