// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const (
	// handBackTimeout is how long a deletion waits for traffic to be handed back in order.
	handBackTimeout = 60 * time.Second
	// forcedReleaseTimeout is how long it then tries to write what can be written.
	forcedReleaseTimeout = 30 * time.Second
)

// terminate hands traffic back to the stable revision, and then removes the finalizer. With --cascade=orphan the stable
// ReplicaSet keeps serving, selected by Services with their original selectors.
func terminate(w *writes, t *transition, forced string) {
	switch {
	case !w.in.HasFinalizer:
	case w.in.Prior.Memory == nil:
		w.act(RemoveFinalizer{"nothing was changed"})
	case forced != "":
		forceRelease(w, t, forced)
	default:
		handBack(w, t)
	}
}

func handBack(w *writes, t *transition) {
	w.strategy.write(w)
	for _, rs := range w.in.Observed.ReplicaSets {
		w.scale(rs)
	}
	t.notes = w.notes
	t.strategy.observe(t)
	t.watchDraining()
	switch phase := t.mem.Phase; {
	case t.mem.StableRevision != "" && (phase == v1alpha1.PhaseStepping || phase == v1alpha1.PhasePromoting):
		t.startRollback()
	case t.mem.StableRevision != "" && phase == v1alpha1.PhaseRollingBack:
		t.strategy.rollBack(t)
	default:
		t.strategy.handBack(t)
	}
	if t.isReleased {
		w.release()
	}
	t.wake(t.in.DeletedAt.Add(handBackTimeout))
}

// release returns the objects to the user, and then removes the finalizer.
func (w *writes) release() {
	w.strategy.release(w)
	w.act(RemoveFinalizer{"traffic was handed back"})
}

// forcedRelease returns why a deletion can wait no longer; empty while it can.
func (v view) forcedRelease() string {
	switch {
	case !v.isTerminating() || !v.in.HasFinalizer || v.in.Prior.Memory == nil:
		return ""
	case v.in.Observed.NamespaceTerminating:
		return "the namespace is terminating"
	case !v.in.Now.Before(v.in.DeletedAt.Add(handBackTimeout)):
		return "traffic could not be handed back within " + handBackTimeout.String()
	case v.spec.replicas > 0 && v.podsAreGone():
		return "no pods are left"
	default:
		return ""
	}
}

// forceRelease writes what can be written, and then removes the finalizer. Missing objects never block it, nor do writes that
// keep failing: memory records the start before the first of them.
func forceRelease(w *writes, t *transition, why string) {
	if t.mem.ForcedReleaseSince == nil {
		t.mem.ForcedReleaseSince = t.now()
		t.await(t.until(t.mem.ForcedReleaseSince.Add(forcedReleaseTimeout)))
		t.await(waitFor("the finalizer will be removed because %s", why))
		return
	}
	if t.await(t.until(t.mem.ForcedReleaseSince.Add(forcedReleaseTimeout))) {
		w.act(RemoveFinalizer{Reason(why)})
	} else {
		othersServe := t.mem.StableRevision != "" && t.hasOtherPods() && !t.in.Observed.NamespaceTerminating
		t.strategy.rollBackUnverified(w, t, Reason(why), othersServe)
		if othersServe {
			return // without the hash, the selectors would match the other pods again
		}
		w.release()
	}
	t.warn(EventTerminated, "the finalizer is removed because %s", why)
}
