// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// strategy is how a release sends requests to a revision. What all releases have in common is not in it: commands, steps,
// pauses, the deadline, the history, draining, conditions. A method that gets a view decides nothing; one that gets a
// transition may change the targets in the next memory; one that gets writes turns the targets of the memory as last written
// into actions.
type strategy interface {
	// begin prepares the first memory of a rollout, with the revision that is adopted as stable, if one is.
	begin(t *transition, stable string)
	// examine returns what was observed, with the problems that show only beside memory.
	examine(v view) Observed
	// observe brings the next memory up to date with what was observed, before anything is decided.
	observe(t *transition)
	// write makes the cluster carry the targets in memory.
	write(w *writes)

	// problem returns what a person has to fix before the release may go forward; nil if nothing.
	problem(v view) *Problem
	// exposure returns what people have to know of the requests.
	exposure(v view) exposure
	// report adds where the requests go to the status.
	report(t *transition, status *v1alpha1.TrafficStatus)

	// isReachable reports whether requests may reach a revision (T3).
	isReachable(v view, revision string) bool
	// isServing is open when the canary answers requests, if the steps want pods of it.
	isServing(v view) gate
	// canServe is open when the canary may get what takes this many pods (T2).
	canServe(v view, pods int32) gate

	// retarget returns the decision to replace the objects in memory by those that the spec names.
	retarget(v view) decision
	// failOver returns the decision to take the requests back from a revision that cannot serve, while the stable one can.
	failOver(v view) decision
	// takeOut returns the decision to give up what the steps ask for and cannot be carried.
	takeOut(v view) decision
	// prepare returns the decision that is due before a canary of this size can get requests. It waits for the pods that this
	// takes.
	prepare(v view, size int32) (due decision, hasPods gate)

	// mayLeave reports whether a promotion may still be left for another revision.
	mayLeave(v view) bool
	// promote makes the next move of a promotion, and commits it after the last one (T8).
	promote(t *transition)
	// rollBack makes the next move of a rollback, and ends it after the last one (T9).
	rollBack(t *transition)

	// handBack makes the next move of a deletion with nothing in flight, and releases the rollout after the last one.
	handBack(t *transition)
	// release returns the objects to the user as they were found.
	release(w *writes)
	// rollBackUnverified sends all requests to the stable revision without waiting for verification, for a deletion that cannot
	// wait. Where every object shows that and endOthers is set, it also ends the pods of the other revisions.
	rollBackUnverified(w *writes, t *transition, why Reason, endOthers bool)
}

// decision changes the next memory. A nil decision is not due.
type decision func(t *transition)

// exposure is what people have to know of the requests.
type exposure struct {
	// alarm says that requests fail right now; empty if they do not.
	alarm string
	// restWait says why not everything that carries requests selects the stable revision and serves; empty if it does.
	restWait string
	// verifyTimeout is how long the targets may wait to be verified, and unverifiedReason why they are not.
	verifyTimeout    time.Duration
	unverifiedReason string
	// isUnversioned says that something that accepts the targets never says which generation it means.
	isUnversioned bool
	// remarks are for the condition TrafficRouted.
	remarks []string
	// recheck is when to look again at a problem of which no change is watched.
	recheck gate
}
