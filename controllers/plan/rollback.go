// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// supersede abandons the current revision for the one of spec.template: a newer one, or the stable one again.
func (t *transition) supersede(target string) {
	current, user := t.mem.CurrentRevision, userName(t.in.Users.AppliedBy)
	if target == t.mem.StableRevision {
		t.ended(current, v1alpha1.OutcomeReverted, "the stable template was applied again", user)
		t.event(EventReverted, "the stable template was applied again: rolling back from revision %s to %s", current, target)
	} else {
		t.ended(current, v1alpha1.OutcomeSuperseded, "by revision "+target, user)
		t.event(EventSuperseded, "revision %s is superseded by %s: its traffic goes back to stable first", current, target)
	}
	t.startRollback()
}

// abort abandons the revision of spec.template until a retry or another template. The user is who gave the command; empty if none did.
func (t *transition) abort(reason, user string) {
	revision := t.mem.CurrentRevision
	if target := t.target(); target != "" && target != t.mem.StableRevision && target != revision {
		if t.isGoingForward() {
			t.ended(revision, v1alpha1.OutcomeSuperseded, "by revision "+target, userName(t.in.Users.AppliedBy))
		}
		revision = target
	}
	t.abortRevision(revision, reason, user)
}

// abortRevision marks a revision as aborted, and starts the rollback of the release in flight.
func (t *transition) abortRevision(revision, reason, user string) {
	t.mem.AbortedRevision, t.mem.AbortReason = revision, reason
	t.ended(revision, v1alpha1.OutcomeAborted, reason, user)
	t.waiting, t.paused, t.pausedUntil, t.isTimed = "", "", time.Time{}, false // what blocked the rollout until now
	t.warn(EventAborting, "revision %s is aborted (%s): all traffic goes back to %s", revision, reason, t.mem.StableRevision)
	if t.mem.Phase == v1alpha1.PhaseIdle {
		return
	}
	t.startRollback()
}

// startRollback starts T9 and makes its first move in the same pass: moving traffic away from a canary never waits.
func (t *transition) startRollback() {
	t.setPhase(v1alpha1.PhaseRollingBack)
	t.mem.ForcedRevision = ""
	t.mem.Draining = slices.DeleteFunc(t.mem.Draining, func(drain v1alpha1.DrainMemory) bool {
		return drain.Revision == t.mem.CurrentRevision // requests have reached it again since
	})
	targets := v1alpha1.StepTargetsMemory{Scale: t.mem.StepTargets.Scale}
	if t.mem.Traffic.HeaderRoutesActive { // the rules must not change while traffic goes to the canary Service
		targets.HeaderRoutes = t.mem.StepTargets.HeaderRoutes
	}
	t.mem.StepTargets = targets
	t.strategy.rollBack(t)
}

// rolledBack ends T9. The template in the spec decides what comes next.
func (t *transition) rolledBack() {
	from := t.mem.CurrentRevision
	if t.mem.StableRevision == "" {
		t.mem.CurrentRevision = cmp.Or(t.target(), from)
		t.setPhase(v1alpha1.PhasePromoting)
		t.began(t.mem.CurrentRevision)
		return
	}
	t.finish()
	if t.isAborted() {
		t.event(EventAborted, "revision %s serves all traffic again; to retry %s: %s",
			t.mem.StableRevision, t.mem.AbortedRevision, t.annotate(v1alpha1.RetryAnnotation+"=true"))
		return
	}
	t.event(EventRolledBack, "revision %s serves all traffic again, revision %s drains", t.mem.StableRevision, from)
}
