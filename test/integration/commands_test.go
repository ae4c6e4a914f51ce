// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

const (
	promote = v1alpha1.PromoteAnnotation
	abort   = v1alpha1.AbortAnnotation
	retry   = v1alpha1.RetryAnnotation
)

// commandsOn returns the command annotations of a rollout.
func commandsOn(rollout *v1alpha1.CanaryRollout) string {
	var set []string
	for _, key := range []string{promote, abort, retry} {
		if _, found := rollout.Annotations[key]; found {
			set = append(set, strings.TrimPrefix(key, "canaryrollout.dev/"))
		}
	}
	return strings.Join(set, " ")
}

func (a *app) waitForNoCommand() {
	a.t.Helper()
	a.waitForPublication("the commands to be removed", func(published publication) bool { return commandsOn(published.rollout) == "" })
}

// checkRemovedOnce waits until no command is left, and reports an error if they were not all removed at once.
func (a *app) checkRemovedOnce(commands string) {
	a.t.Helper()
	a.waitForNoCommand()
	seen, _ := a.published.all()
	var changes []string
	for i := 1; i < len(seen); i++ {
		if now := commandsOn(seen[i].rollout); now != commandsOn(seen[i-1].rollout) {
			changes = append(changes, now)
		}
	}
	if got, want := strings.Join(changes, ","), commands+","; got != want {
		a.t.Errorf("the commands on the rollout were %q, one after the other, want %q", got, want)
	}
}

// TestPromote leaves one pause, but not the next one.
func TestPromote(t *testing.T) {
	a := paused(t, "1/3", builder.Hold(), builder.Weight(50), builder.Hold())
	a.annotate(promote, "true")
	a.waitForStep(v1alpha1.StatePaused, "3/3")
	a.checkRemovedOnce("promote")
	if rollout := a.barrier(); rollout.Status.Step != "3/3" {
		t.Errorf("promoted once, and now: %s", describe(rollout))
	}
	a.waitForEvent("Normal", "RolloutResumed", "step 1/3")
}

// TestPromoteFull skips the remaining steps.
func TestPromoteFull(t *testing.T) {
	a := paused(t, "1/3", builder.Hold(), builder.Weight(50), builder.Hold())
	a.annotate(promote, "full")
	a.waitForStable(builder.ImageV2)
	a.checkRemovedOnce("promote")
	a.waitForEvent("Normal", "RolloutPromoting", "skipped by hand")
}

// TestPromoteFullAtRevision: a full promotion for another revision does nothing.
func TestPromoteFullAtRevision(t *testing.T) {
	a := paused(t, "1/3", builder.Hold(), builder.Weight(50), builder.Hold())
	a.annotate(promote, "another/full")
	a.waitForEvent("Warning", "CommandIgnored", promote+"=another/full")
	a.waitForNoCommand()
	a.annotate(promote, a.rollout().Status.Revision+"/full")
	a.waitForStable(builder.ImageV2)
}

// TestPromoteAtStep: the form for use in Git only applies at the given step of the given revision.
func TestPromoteAtStep(t *testing.T) {
	a := paused(t, "1/2", builder.Hold(), builder.Hold())
	a.annotate(promote, a.rollout().Status.Revision+"/1")
	a.waitForStep(v1alpha1.StatePaused, "2/2")
	a.checkRemovedOnce("promote")
}

// TestAbortByHand aborts without a reason.
func TestAbortByHand(t *testing.T) {
	a := paused(t, "1/1", builder.Hold())
	a.annotate(abort, "true")
	rollout := a.waitForState(v1alpha1.StateAborted)
	a.checkRemovedOnce("abort")
	if !strings.Contains(rollout.Status.Message, "by hand") {
		t.Errorf("message is %q", rollout.Status.Message)
	}
}

// TestAbortWhilePromoting rolls back after the stable Service has moved, which takes more stages.
func TestAbortWhilePromoting(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Settle(1))
	stable := a.waitForState(v1alpha1.StateHealthy).Status.Stable.Revision
	a.setImage(builder.ImageV2)
	a.waitFor("the stable Service to move", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.Memory.StableService.Revision == r.Status.Memory.CurrentRevision && r.Status.Canary != nil
	})
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.checkSelects("reviews-stable", stable)
	a.checkSelects("reviews-canary", stable)
	a.checkTraffic("100/0")
}

// TestRetry restarts an aborted revision at its first step.
func TestRetry(t *testing.T) {
	a := paused(t, "1/1", builder.Hold())
	canary := a.rollout().Status.Revision
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.waitFor("the abort to be done with", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Memory.Command == nil })
	a.annotate(retry, "true")
	rollout := a.waitForStep(v1alpha1.StatePaused, "1/1")
	if rollout.Status.Revision != canary {
		t.Errorf("revision %s was retried, want %s", rollout.Status.Revision, canary)
	}
	a.waitForEvent("Normal", "RolloutRetried", canary)
}

// TestRetryAtOnce retries as soon as the state is Aborted, because the message offers it from then on.
func TestRetryAtOnce(t *testing.T) {
	a := paused(t, "1/1", builder.Hold())
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.annotate(retry, "true")
	a.waitForStep(v1alpha1.StatePaused, "1/1")
}

// TestSeveralCommands: of several commands at once, abort wins. The others are removed in the same patch, and a
// Warning gives the reason.
func TestSeveralCommands(t *testing.T) {
	a := paused(t, "1/2", builder.Hold(), builder.Hold())
	a.patch(`{"metadata":{"annotations":{%q:"full",%q:"true",%q:"true"}}}`, promote, abort, retry)
	a.waitForState(v1alpha1.StateAborted)
	a.checkRemovedOnce("promote abort retry")
	a.waitForEvent("Warning", "CommandIgnored", promote+"=full")
	a.waitForEvent("Warning", "CommandIgnored", retry+"=true")
	if rollout := a.barrier(); rollout.Status.State != v1alpha1.StateAborted {
		t.Errorf("an ignored command was carried out: %s", describe(rollout))
	}
}

// TestAbortWhileHeld: spec.paused does not block an abort.
func TestAbortWhileHeld(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	a.patch(`{"spec":{"paused":true}}`)
	a.waitFor("spec.paused", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.Pause != nil && r.Status.Pause.Reason == "SpecPaused"
	})
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.checkTraffic("100/0")
}
