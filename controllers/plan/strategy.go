// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// strategy is how a release sends requests to a revision. What all releases have in common is not in it: commands, steps,
// pauses, the deadline, the history, draining, and the report. A strategy that reads a view decides nothing; one that gets a
// transition may change the targets in its memory, and one that gets writes turns the targets of the memory as last written
// into actions.
type strategy interface {
	// examine returns what was observed, with the problems that show only beside memory.
	examine(v view) Observed
	// begin prepares the first memory of a rollout, with the revision that is adopted as stable, if one is.
	begin(t *transition, stable string)
	// write makes the cluster carry the targets in memory.
	write(w *writes)
	// observe brings the next memory up to date with what was observed, before anything is decided.
	observe(t *transition)

	// problem returns what a person has to fix before the release may go forward; nil if nothing.
	problem(v view) *Problem
	// isRetargeted reports whether the objects that carry the requests are about to be replaced by those of the spec;
	// retarget replaces them.
	isRetargeted(v view) bool
	retarget(t *transition)

	// recheck is when to look again at a problem of which no change is watched.
	recheck(v view) gate

	// isReachable reports whether requests may reach a revision (T3).
	isReachable(v view, revision string) bool
	// isServing is open when the canary answers requests, if the steps want pods of it.
	isServing(v view) gate
	// canServe is open when the canary may get what takes this many pods (T2).
	canServe(v view, pods int32) gate
	// preparation reports whether something is due before a canary of this size can get requests, and waits for the pods that
	// it takes; prepare does it.
	preparation(v view, size int32) (isDue bool, hasPods gate)
	prepare(t *transition)
	// isLost reports whether the new revision cannot serve what it gets and the stable one can; failOver takes the requests
	// back, and the release stays where it is.
	isLost(v view) bool
	failOver(t *transition)
	// isRefused reports whether what the steps ask for cannot be carried; takeOut takes it out of the targets.
	isRefused(v view) bool
	takeOut(t *transition)

	// mayLeave reports whether a promotion may still be left for another revision.
	mayLeave(v view) bool
	// promote makes the next move of a promotion, and commits it after the last one (T8).
	promote(t *transition)
	// rollBack makes the next move of a rollback, and finishes it after the last one (T9).
	rollBack(t *transition)

	// handBack makes the next move of a deletion with nothing in flight, and releases the rollout after the last one.
	handBack(t *transition)
	// release returns the objects to the user as they were found.
	release(w *writes)
	// rollBackUnverified sends all requests to the stable revision without waiting for verification, for a deletion that cannot
	// wait. Where every object shows that and endOthers is set, it also ends the pods of the other revisions.
	rollBackUnverified(w *writes, t *transition, why Reason, endOthers bool)

	// alarm says that requests fail right now; empty if they do not.
	alarm(v view) string
	// restWait says why not everything that carries requests selects the stable revision and serves; empty if it does.
	restWait(v view) string
	// verifyTimeout is how long the targets may wait to be verified, and unverifiedReason why they are not.
	verifyTimeout(v view) time.Duration
	unverifiedReason(v view) string
	// report adds where the requests go to the status.
	report(t *transition, status *v1alpha1.TrafficStatus)
	// remarks are about traffic, for the condition TrafficRouted; isUnversioned says that a gateway never says which generation
	// it means.
	remarks(v view) (remarks []string, isUnversioned bool)
}
