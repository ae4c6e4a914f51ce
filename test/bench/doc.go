// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the manager costs, on the test cluster: requests, passes, CPU, memory and latencies. It can
// measure an older version of the manager in turns with the present one. The section "What it costs" of docs/operations.md
// says how to run it and what the figures mean.
//
// Nothing in the cluster is slower than necessary: a gateway that accepts every route at once, pods that are ready at once,
// no settling and no pauses. So the figures are those of the manager and of the API server.
//
// The processes of both are read from /proc. The requests are counted in the audit log, and what changed when is taken
// from watch events. The first turn of a binary includes that its pages are read from the disk; measure at least three.
package main
