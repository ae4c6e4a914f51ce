// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers runs the loop: observe -> plan -> apply -> write status -> report. It knows the order of these
// five verbs, what starts a pass, and what an error means; everything else is in the packages below it:
//
//	plan      decides; pure
//	observe   cluster -> plan.Observed; cannot write
//	apply     plan.Action -> one API call; cannot read
//	route     weights and header rules in a route; pure
//	revision  pod template -> revision and ReplicaSet; pure
//	metrics   collectors
//
// A pass ends in one of these ways:
//
//	done      the status is written, Events are sent; the next pass comes with a watch event, or at plan.WakeAt
//	stale     a cache is behind our own last write: nothing was done, the event that brings the object starts a new pass
//	conflict  somebody else wrote in between: as for stale, after the writes that succeeded
//	refused   the API server rejects a request: the status says why, memory is untouched; retried with backoff
//	failed    anything else: retried with backoff
package controllers
