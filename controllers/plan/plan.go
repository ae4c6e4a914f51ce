// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Plan is what a pass does: the actions in order, then one status write if Status differs from the prior one, then the
// events. The status may hold several moves of the state machine: all that follow from what was observed. WakeAt is when to
// look again if nothing happens before; zero means never.
type Plan struct {
	Actions []Action
	Status  v1alpha1.CanaryRolloutStatus
	Events  []Event
	WakeAt  time.Time
	// Measurements are what to measure until the next plan.
	Measurements []Measurement
	// Unfinished is set if the plan has to be followed by another one although nothing else happens in between. A plan without actions
	// is followed in any case if the next one has some.
	Unfinished bool
}

// Event reports a transition, or an action. The Events of a plan are emitted after the status with that transition was
// written, the Event of an action once it has been carried out.
type Event struct {
	// Warning is set for a Warning; the Event is Normal otherwise.
	Warning bool
	// Reason is stable and documented.
	Reason string
	// Repeats is set if an outside cause may repeat the Event: repetitions are aggregated into one Event with a count.
	Repeats bool
	// Message is for people.
	Message string
}

// Compute makes the plan of one pass.
func Compute(in Input) Plan { return joined(sequence(in, gatewayCanary{})) }

// ComputeMove makes the plan of a pass that makes at most one move of the state machine. A forecast uses it to show every step, even
// those that one pass completes together.
func ComputeMove(in Input) Plan { return compute(in, gatewayCanary{}) }

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

// conclude makes the plan from the actions and the transition. A rollout without its finalizer has no status to write.
func conclude(w *writes, t *transition) Plan {
	t.keepBake()
	measurements := t.measure()
	status := *t.in.Prior.DeepCopy()
	if !slices.ContainsFunc(w.actions, func(action Action) bool { _, isRemoval := action.(RemoveFinalizer); return isRemoval }) {
		status = (&summary{transition: t}).report()
		t.notify(&status)
		t.await(t.strategy.exposure(t.view).recheck)
	}
	return Plan{Actions: w.actions, Status: status, Events: t.events, WakeAt: t.wakeAt, Measurements: measurements}
}

// Probe returns what the probe should measure; nil if nothing.
func (p Plan) Probe() *ProbeRequest {
	for _, measurement := range p.Measurements {
		if measurement.Probe != nil {
			return measurement.Probe
		}
	}
	return nil
}
