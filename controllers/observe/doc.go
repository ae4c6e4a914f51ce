// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observe turns the cluster into plan.Observed. It takes readers and cannot write. The one request that looks
// like a write, the server-side dry run that defaults a template, is behind Normalizer.
//
// Everything is read from watches. The live reader is for the few questions that a cache cannot answer: adoption (the
// candidates lack our label, so no cache holds them), a name that turns out to be taken, a namespace that may be
// terminating, and the check before a process first acts on a rollout. An idle rollout needs none of them.
//
// # Freshness
//
// A cache lags behind the process that writes. A plan based on a state older than the last plan's own writes could
// undo or repeat them. So every cached object is compared to what Tracker knows of our writes. If one of them is
// behind, the pass ends with ErrStale, and the watch event for the object starts the next one. (The client of
// controller-runtime has an experimental option that blocks such reads instead; it would hold a worker.)
package observe
