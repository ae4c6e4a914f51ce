// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// TestInitializing blocks a first deploy with pods that never become ready; a new template restarts it.
func TestInitializing(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Steps(builder.Hold()).PodAnnotation(cluster.NeverReady, "true"))
	a.waitForTraffic("100/0") // before a pod is ready: the two Services get their first endpoints one after the other
	before := a.userObjects()
	rollout := a.waitFor("pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Replicas == 2 })
	if rollout.Status.State != v1alpha1.StateInitializing || rollout.Status.Ready != "0/2" || rollout.Status.Stable != nil {
		t.Errorf("not Initializing: %s", describe(rollout))
	}
	checkConditions(t, rollout, inFlight("Initializing").with(
		"Available", "False Initializing", "TrafficRouted", "False WaitingForPods"))
	a.barrier()
	if after := a.userObjects(); after != before {
		t.Errorf("Services were touched before a pod was ready:\nwas %s\nis  %s", before, after)
	}
	a.setImage(builder.ImageV2)
	a.waitForStable(builder.ImageV2)
	a.checkHistory("Promoted "+builder.ImageV2, "Superseded "+builder.ImageV1)
}

// TestHealthy: the first deploy skips the steps, and ends with everything on stable.
func TestHealthy(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	rollout := a.rollout()
	checkConditions(t, rollout, atRest)
	s := rollout.Status
	if s.Step != "2/2" || s.Weight != "100" || s.Ready != "2/2" || s.Replicas != 2 || s.Canary != nil || s.Stable.Available != 2 {
		t.Errorf("not at rest: %s", describe(rollout))
	}
	a.checkSelects("reviews-stable", s.Stable.Revision)
	a.checkSelects("reviews-canary", s.Stable.Revision)
	a.checkTraffic("100/0")
	a.waitForEvent("Normal", "RolloutStarted", "first deploy")
	a.waitForEvent("Normal", "RolloutPromoted", "is deployed")
}

// TestProgressing waits for a canary that does not become ready.
func TestProgressing(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	stable := a.rollout().Status.Stable.Revision
	a.setSick(builder.ImageV2)
	rollout := a.waitFor("a canary pod", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Canary != nil && r.Status.Canary.Replicas == 1 })
	checkConditions(t, rollout, inFlight("Progressing"))
	s := rollout.Status
	if s.State != v1alpha1.StateProgressing || s.Step != "1/2" || s.Weight != "0->50" || s.Ready != "2/3" || s.Revision != s.Canary.Revision {
		t.Errorf("not Progressing: %s", describe(rollout))
	}
	if want := "waiting for 1 available pod of revision " + s.Revision; !strings.Contains(s.Message, want) {
		t.Errorf("message is %q, want %q", s.Message, want)
	}
	a.checkTraffic("100/0")
	a.checkSelects("reviews-canary", stable)
	a.waitForEvent("Normal", "RolloutStarted", "starts with 2 steps")
}

// TestPaused: at the pause the weight is verified, and the message says how to continue.
func TestPaused(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	rollout := a.rollout()
	checkConditions(t, rollout, inFlight("PauseStep").with("Paused", "True PauseStep"))
	s := rollout.Status
	if s.Weight != "50" || s.Ready != "3/3" || s.Traffic.VerifiedWeight != 50 || s.Pause.Reason != "PauseStep" || s.Pause.Until != nil {
		t.Errorf("not as the steps say: %s", describe(rollout))
	}
	if want := "kubectl -n " + a.namespace + " annotate canaryrollout reviews canaryrollout.dev/promote=true"; !strings.Contains(s.Message, want) {
		t.Errorf("message is %q, without %q", s.Message, want)
	}
	a.checkTraffic("50/50")
	a.checkSelects("reviews-stable", s.Stable.Revision)
	a.checkSelects("reviews-canary", s.Canary.Revision)
	a.waitForEvent("Normal", "RolloutPaused", "step 2/2")
}

// TestPromoting checks that the stable Service moves only after all traffic has left it.
func TestPromoting(t *testing.T) {
	a := deployed(t)
	a.setImage(builder.ImageV2)
	rollout := a.waitForState(v1alpha1.StatePromoting)
	checkConditions(t, rollout, inFlight("Promoting").with("TrafficRouted", conditionsOf(rollout)["TrafficRouted"]))
	from := rollout.Status.Stable.Revision
	rollout = a.waitForStable(builder.ImageV2)
	checkConditions(t, rollout, atRest)
	a.checkTraffic("100/0")
	a.checkSelects("reviews-stable", rollout.Status.Stable.Revision)
	a.checkSelects("reviews-canary", rollout.Status.Stable.Revision)
	a.within(patience, "the old pods to go", func() (bool, string) { return len(a.podsOf(from)) == 0, "" })
	a.waitForEvent("Normal", "ServiceMoved", "reviews-stable")
	a.waitForEvent("Normal", "RolloutPromoted", "is stable")
}

// TestAborting: the rollout passes through Aborting to Aborted, where stable serves and a user must act. The canary
// Service then selects stable: Argo Rollouts left it without endpoints (argo-rollouts#2118).
func TestAborting(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	canary := a.rollout().Status.Canary.Revision
	a.annotate(v1alpha1.AbortAnnotation, "too many errors")
	rollout := a.waitForState(v1alpha1.StateAborting)
	checkConditions(t, rollout, inFlight("Aborting").with("TrafficRouted", conditionsOf(rollout)["TrafficRouted"]))
	rollout = a.waitForState(v1alpha1.StateAborted)
	checkConditions(t, rollout, stalled("Aborted"))
	if s := rollout.Status; s.Weight != "0" || s.Revision != canary || !strings.Contains(s.Message, "too many errors") {
		t.Errorf("not as aborted: %s", describe(rollout))
	}
	a.checkTraffic("100/0")
	a.checkSelects("reviews-canary", rollout.Status.Stable.Revision)
	a.within(patience, "the canary's pods to go", func() (bool, string) { return len(a.podsOf(canary)) == 0, "" })
	a.waitForEvent("Warning", "RolloutAborting", "too many errors")
	a.waitForEvent("Normal", "RolloutAborted", "retry=true")
}

// TestDegraded: the progress deadline passes while waiting for pods; another template resolves it.
func TestDegraded(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().ProgressDeadline(2))
	a.waitForState(v1alpha1.StateHealthy)
	a.setSick(builder.ImageV2)
	rollout := a.waitForState(v1alpha1.StateDegraded)
	checkConditions(t, rollout, stalled("ProgressDeadlineExceeded"))
	a.waitForEvent("Warning", "ProgressDeadlineExceeded", "no progress within 2s")
	a.setImage(builder.ImageV3)
	checkConditions(t, a.waitForStable(builder.ImageV3), atRest)
	a.waitForEvent("Normal", "RolloutRecovered", "ProgressDeadlineExceeded is over")
}

// TestProgressDeadlineAborts: with progressDeadlineAbort, the deadline aborts the release.
func TestProgressDeadlineAborts(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().ProgressDeadline(2))
	a.waitForState(v1alpha1.StateHealthy)
	a.patch(`{"spec":{"progressDeadlineAbort":true}}`)
	a.setSick(builder.ImageV2)
	rollout := a.waitForState(v1alpha1.StateAborted)
	if !strings.Contains(rollout.Status.Message, "no progress within 2s") {
		t.Errorf("message is %q", rollout.Status.Message)
	}
}

// TestPauseIsNotDegraded: a deadline that passes during a pause has no effect.
func TestPauseIsNotDegraded(t *testing.T) {
	a := paused(t, "1/2", builder.Pause(4*time.Second), builder.Hold())
	a.patch(`{"spec":{"progressDeadlineSeconds":1}}`)
	a.waitForStep(v1alpha1.StatePaused, "2/2")
	seen, _ := a.published.all()
	for _, published := range seen {
		if published.rollout.Status.State == v1alpha1.StateDegraded {
			t.Errorf("Degraded in a pause: %s", describe(published.rollout))
		}
	}
}

// TestTerminating: a deletion in mid-canary takes time to return traffic.
func TestTerminating(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Settle(1).Steps(builder.Weight(50), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	a.waitForState(v1alpha1.StatePaused)
	a.kubectl("delete", "cro", "reviews", "--wait=false")
	rollout := a.waitFor("Terminating", func(r *v1alpha1.CanaryRollout) bool { return r.Status.State == v1alpha1.StateTerminating })
	checkConditions(t, rollout, inFlight("Deleting").with("TrafficRouted", conditionsOf(rollout)["TrafficRouted"]))
	a.waitUntilGone()
}
