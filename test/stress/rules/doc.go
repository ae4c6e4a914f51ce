// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rules holds what happened in a stress run against the rules of traffic. It is pure: the run's evidence goes in,
// and what is wrong comes out.
//
// Which revision may answer is told by the memory in the published statuses. A weight, or the revision of a Service, may
// be seen from when it was decided until a later one is proven (the route verified, T4; the Service's endpoints complete,
// T2) and the gateway has had the time that it is given for what it has reported. So an aborted canary gets nothing once
// the way back is proven, nobody but a tester reaches a canary at weight 0, and a revision that is neither stable nor in
// flight gets nothing at all.
//
// A copy is a request, too, and only the canary Service gets any.
//
// What the run itself wrote in the place of a GitOps tool is in force until the operator has put it right, by the API
// server's audit log.
package rules

import (
	"time"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

// Evidence is what a run has left behind.
type Evidence struct {
	// Moments are all statuses that were published, by their times.
	Moments []app.Moment
	// Traffic and StableOnly are all requests, by their starts: by the rule with the pair, and by the one that has only
	// the stable Service.
	Traffic, StableOnly []load.Result
	// Copies are those that a mirror sent to the canary Service, by their starts.
	Copies []load.Result
	// Foreign is what the run wrote into route and Services.
	Foreign []Foreign
	// Killed are the times in which pods were taken away.
	Killed []Span
	// Lag is how long the gateway's proxies may take to do what has been proven.
	Lag time.Duration
	// Until is the end of the run.
	Until time.Time
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

func (s Span) length() time.Duration { return s.To.Sub(s.From) }

// forever is later than any run.
var forever = time.Unix(1<<40, 0)
