// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Plan is what a pass does: the actions in order, then one status write when Status differs from the prior one, then
// the events. WakeAt is when to look again if nothing happens before; zero means never.
type Plan struct {
	Actions []Action
	Status  v1alpha1.CanaryRolloutStatus
	Events  []Event
	WakeAt  time.Time
	// Probe is what to measure until the next plan; nil for nothing.
	Probe *ProbeRequest
}

// Event tells a person about a transition. Events are emitted only after the status that they speak of was written.
type Event struct {
	// Warning makes it a Warning; Normal otherwise.
	Warning bool
	// Reason is stable and documented.
	Reason string
	// Repeats says that it may come again and again, by a cause outside: it is then told once, with a count.
	Repeats bool
	// Message is for people.
	Message string
}

// Compute makes the plan of one pass.
func Compute(in Input) Plan { return compute(in, gatewayCanary{}) }

func compute(in Input, strategy strategy) Plan {
	before := newView(&in, strategy)
	if why := unsupported(in.Prior.Memory); why != "" {
		return leave(in, why)
	}
	forced := before.forcedRelease()
	if forced == "" {
		in.Observed = strategy.examine(before)
	}
	w, t := &writes{view: before}, newTransition(before)
	switch {
	case before.isTerminating():
		terminate(w, t, forced)
	case in.Prior.Memory == nil:
		begin(w, t)
	default:
		w.reconcile()
		t.notes = w.notes
		t.reconcile()
	}
	return conclude(w, t)
}

// conclude makes the plan of what was written and decided. With its finalizer gone, a rollout has no status to write.
func conclude(w *writes, t *transition) Plan {
	status := *t.in.Prior.DeepCopy()
	if !slices.ContainsFunc(w.actions, func(action Action) bool { _, isGone := action.(RemoveFinalizer); return isGone }) {
		status = (&summary{transition: t}).report()
	}
	t.await(t.strategy.exposure(t.view).recheck)
	return Plan{Actions: w.actions, Status: status, Events: t.events, WakeAt: t.wakeAt, Probe: t.probe}
}
