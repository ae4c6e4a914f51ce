// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observe turns the cluster into plan.Observed. It takes readers and can write nothing; the one request that
// looks like a write, the server-side dry run that defaults a template, hides behind Normalizer.
//
// Everything is read from watches. The live reader serves the few questions that a cache cannot answer: adoption (its
// ReplicaSets carry no label of ours, so no cache holds them), a name that turns out to be taken, a namespace that may
// be going, and the fresh look before a process first acts on a rollout. At rest none of them is asked.
//
// # Freshness
//
// A cache lags behind the process that writes. A plan made from a state older than the last plan's own writes could
// undo or repeat them, so every cached object is compared to what Tracker knows of our writes; when one of them is
// behind, the pass ends with ErrStale and the watch event that brings the object starts the next one. (The client of
// controller-runtime has an experimental option that blocks such reads instead; it would hold a worker.)
package observe
