// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// strategy is how a release sends requests to a revision. It does not contain what all releases have in common: commands,
// steps, pauses, the deadline, the history, draining, conditions. A method that gets a view changes nothing. One that gets a
// transition may change the targets in the next memory. One that gets writes turns the targets of the memory as last written
// into actions.
type strategy interface {
	// begin prepares the first memory of a rollout. stable is the revision that is adopted; empty if none is.
	begin(t *transition, stable string)
	// examine returns what was observed, with the problems that can only be seen together with memory.
	examine(v view) Observed
	// observe updates the next memory with what was observed, before anything is decided.
	observe(t *transition)
	// write makes the cluster carry the targets in memory.
	write(w *writes)
	// handBackLeft returns what the spec no longer names. It comes last, since a failure of it may hold up what follows.
	handBackLeft(w *writes)

	// problem returns what a person has to fix before the release may go forward; nil if nothing.
	problem(v view) *Problem
	// exposure returns what people have to know about the requests.
	exposure(v view) exposure
	// report adds to the status where the requests go.
	report(t *transition, status *v1alpha1.TrafficStatus)

	// isReachable reports whether requests may reach a revision (T3).
	isReachable(v view, revision string) bool
	// isServing is open when the canary answers requests, if the steps want pods of it.
	isServing(v view) gate
	// canServe is open when the canary may get traffic that needs this many pods (T2).
	canServe(v view, pods int32) gate

	// steady is open while requests are answered as the targets say: the targets are verified and settled, and the endpoints of
	// the two revisions are apart. It then returns since when.
	steady(v view) (since time.Time, settled gate)

	// retarget returns the decision to replace the objects in memory by those in the spec.
	retarget(v view) decision
	// failOver returns the decision to send requests to the stable revision while the new one cannot serve.
	failOver(v view) decision
	// removeRefused returns the decision to remove from the targets what the steps ask for and is refused.
	removeRefused(v view) decision
	// prepare returns the decision that is due before a canary of this size can get requests, and a gate that is shut while
	// that waits for pods.
	prepare(v view, size int32) (due decision, hasPods gate)

	// mayLeave reports whether another revision may still supersede a promotion.
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
	// wait. Once every object does that and endOthers is set, it also removes the pods of the other revisions.
	rollBackUnverified(w *writes, t *transition, why Reason, endOthers bool)
}

// decision changes the next memory. It is nil if nothing is due.
type decision func(t *transition)

// exposure is what people have to know about the requests.
type exposure struct {
	// alarm tells that requests fail right now; empty if they do not.
	alarm string
	// idleWait tells why not every object that carries requests selects the stable revision and serves; empty if all do.
	idleWait string
	// verifyTimeout is how long the targets may wait to be verified. unverifiedReason is the reason to report then.
	verifyTimeout    time.Duration
	unverifiedReason string
	// isUnversioned is set if a gateway that accepts the targets reports no generation.
	isUnversioned bool
	// remarks are added to the condition TrafficRouted.
	remarks []string
	// recheck is shut until a problem without a watch is checked again.
	recheck gate
}
