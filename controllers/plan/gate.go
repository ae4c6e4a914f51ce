// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"
)

// gate tells whether something may happen now and, if not, what it waits for. Evaluating a gate has no effect; await
// records it. The zero value is open.
type gate struct {
	shut bool
	// message is what the gate waits for, for people; empty if nobody has to know.
	message string
	// opensAt is when the clock opens the gate; zero if something else does.
	opensAt time.Time
	// problem is what a person has to fix before the gate can open; nil if it may open without help.
	problem *Problem
	// paused is the reason of the pause that shuts the gate; empty if it is not a pause.
	paused string
	// isTimed is set if the gate is meant to be shut for a time that the user has chosen, and is not a pause.
	isTimed bool
}

// waitFor returns a shut gate that opens with a later observation.
func waitFor(format string, args ...any) gate {
	return gate{shut: true, message: fmt.Sprintf(format, args...)}
}

// stalledBy returns a shut gate that only a person can open.
func stalledBy(reason, format string, args ...any) gate {
	return gate{shut: true, problem: &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// notes collects what a pass waits for, when to look again, and its Events. If several gates are shut, the first message is
// reported.
type notes struct {
	events []Event
	// waiting is the message of the first shut gate.
	waiting string
	// trafficWaiting is what the first unverified route waits for.
	trafficWaiting string
	// pending is the first incomplete change of spec.traffic, and why it is incomplete.
	pending string
	// stalled is the problem that keeps the rollout from progressing without help.
	stalled *Problem
	// wakeAt is when to look again if nothing happens before; zero means never.
	wakeAt time.Time
	// paused is the reason of the current pause; empty if there is none. pausedUntil is when it ends by itself.
	paused      string
	pausedUntil time.Time
	// isTimed is set while the release waits for a time that the user has chosen, other than a pause.
	isTimed bool
}

// await reports whether a gate is open, and records what a shut gate waits for. It is the only query that writes.
func (n *notes) await(g gate) bool {
	if g.shut {
		n.wait(g.message)
		n.stall(g.problem)
		n.wake(g.opensAt)
	}
	n.isTimed = n.isTimed || g.shut && g.isTimed
	if g.shut && g.paused != "" {
		n.paused, n.pausedUntil = g.paused, g.opensAt
	}
	return !g.shut
}

func (n *notes) wait(message string) {
	if n.waiting == "" {
		n.waiting = message
	}
}

// awaitTraffic records what the verification of a route waits for.
func (n *notes) awaitTraffic(g gate) {
	n.waitTraffic(g.message)
	n.stall(g.problem)
	n.wake(g.opensAt)
}

func (n *notes) waitTraffic(message string) {
	if n.trafficWaiting == "" {
		n.trafficWaiting = message
	}
}

func (n *notes) pend(format string, args ...any) {
	if n.pending == "" {
		n.pending = fmt.Sprintf(format, args...)
	}
}

func (n *notes) stall(problem *Problem) {
	if n.stalled == nil {
		n.stalled = problem
	}
}

func (n *notes) wake(at time.Time) {
	if !at.IsZero() && (n.wakeAt.IsZero() || at.Before(n.wakeAt)) {
		n.wakeAt = at
	}
}

func (n *notes) event(reason, format string, args ...any) {
	n.events = append(n.events, Event{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (n *notes) warn(reason, format string, args ...any) {
	n.events = append(n.events, Event{Warning: true, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// warnRepeated is warn for Events that may recur every second.
func (n *notes) warnRepeated(reason, format string, args ...any) {
	n.warn(reason, format, args...)
	n.events[len(n.events)-1].Repeats = true
}
