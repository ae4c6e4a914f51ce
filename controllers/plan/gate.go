// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"
)

// gate tells whether something may happen now, and if not, what it waits for. Evaluating a gate has no effect; await
// records what it says. The zero value is open.
type gate struct {
	shut bool
	// message tells a person what the gate waits for; empty if nobody has to know.
	message string
	// opensAt is when the clock opens the gate; zero if something else does.
	opensAt time.Time
	// problem is what a person has to fix before the gate can open; nil if time may help.
	problem *Problem
	// paused is the reason of the pause that shuts the gate; empty if none does.
	paused string
}

// waitFor returns a gate that an observation opens.
func waitFor(format string, args ...any) gate {
	return gate{shut: true, message: fmt.Sprintf(format, args...)}
}

// stalledBy returns a gate that only a person can open.
func stalledBy(reason, format string, args ...any) gate {
	return gate{shut: true, problem: &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// notes collects what a pass says: what it waits for, when to look again, and its Events. Where several gates are shut,
// the first message is the one that a person has to know.
type notes struct {
	events []Event
	// waiting is what the first shut gate waits for.
	waiting string
	// trafficWaiting is what the first route that is not verified waits for.
	trafficWaiting string
	// pending is the first change of spec.traffic that is not complete yet, and why.
	pending string
	// stalled is what keeps the rollout from progressing without help.
	stalled *Problem
	// wakeAt is when to look again if nothing happens before; zero means never.
	wakeAt time.Time
	// paused is the reason of the pause that holds the rollout, or empty; pausedUntil is when it ends by the clock.
	paused      string
	pausedUntil time.Time
}

// await reports whether a gate is open, and records what a shut one waits for. It is the only query that writes.
func (n *notes) await(g gate) bool {
	if g.shut {
		n.wait(g.message)
		n.stall(g.problem)
		n.wake(g.opensAt)
	}
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

// warnRepeated is warn for what somebody may cause every second.
func (n *notes) warnRepeated(reason, format string, args ...any) {
	n.warn(reason, format, args...)
	n.events[len(n.events)-1].Repeats = true
}
