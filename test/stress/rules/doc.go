// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rules checks what happened in a stress run against the rules of traffic. It is pure: it takes the run's
// evidence, and returns what is wrong.
//
// The memory in the published statuses determines which revision may answer. A weight, or the revision of a Service,
// may be in force from when it was decided until a later one is verified (the route verified, T4; the Service's
// endpoints complete, T2) and the gateway has had its time to apply what it has reported. So an aborted canary gets
// no requests once the rollback is verified, only testers reach a canary at weight 0, and a revision that is neither
// stable nor in flight gets no requests at all.
//
// A copy is a request, too. Only the canary Service gets copies.
//
// What the run itself wrote as a GitOps tool is in force until the operator has reverted it, according to the API
// server's audit log.
package rules

import (
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// Evidence is what a run has recorded.
type Evidence struct {
	// Moments are all published statuses, in order of time.
	Moments []harness.Moment
	// Traffic and StableOnly are all requests, sorted by start: those for the rule with the pair, and those for the
	// rule with only the stable Service.
	Traffic, StableOnly []load.Result
	// Copies are the requests that a mirror sent to the canary Service, sorted by start.
	Copies []load.Result
	// Foreign is what the run wrote into the route and the Services.
	Foreign []Foreign
	// Killed are the times in which pods were killed.
	Killed []Span
	// Lag is how long the gateway's proxies may take to apply what has been verified.
	Lag time.Duration
	// Until is the end of the run.
	Until time.Time
}

// Span is a time interval.
type Span struct{ From, To time.Time }

func (s Span) length() time.Duration { return s.To.Sub(s.From) }

// forever is later than any run.
var forever = time.Unix(1<<40, 0)
