// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package measure makes the measurements that plans ask for, outside the passes: it asks the metric providers of the
// administrator, and runs Jobs. A pass says what is wanted of its rollout (Runner.Want), and a later one observes what has
// been measured (Runner.Results). The runner judges nothing and remembers nothing that counts: after a restart, it measures
// again what the next plans ask for.
//
// Each provider has a queue, workers, a request rate and a back-off of its own, so that a provider that is slow or down delays
// the measurements of no other one.
package measure
