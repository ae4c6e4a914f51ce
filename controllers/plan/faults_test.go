// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// hijack points the canary Service at the stable revision.
func hijack() move {
	return spend("somebody points the canary Service at a", func(w *world) *int { return &w.edits }, func(w *world) bool {
		changed := w.canary.selector != revA
		w.canary.selector, w.canary.stripped = revA, changed || w.canary.stripped
		w.canary.excused, w.edited = true, true
		return changed
	})
}

// accidents crash the operator after k actions, before its status write; kill all pods of a revision; and write into
// the user's objects.
func accidents() []move {
	moves := []move{
		spend("somebody swaps the weights", func(w *world) *int { return &w.edits }, func(w *world) bool {
			w.write(w.route(0), 50, 0, false)
			w.edited = true
			return true
		}),
		spend("somebody strips the canary selector", func(w *world) *int { return &w.edits }, func(w *world) bool {
			w.canary.selector, w.canary.stripped = none, true
			w.edited = true
			return true
		}),
	}
	for i := range maxRoutes {
		moves = append(moves, spend("gateway complains of "+routeName(i), func(w *world) *int { return &w.complaints }, func(w *world) bool {
			complains := i < w.routeCount && w.route(i).accepted > 0
			w.route(i).accepted = 0
			return complains
		}))
	}
	for k := range maxActions {
		moves = append(moves, fault(fmt.Sprintf("crash after action %d", k+1), func(w *world, plan Plan) bool { return w.crashAfter(plan, k) }),
			fault(fmt.Sprintf("action %d is refused", k+1), func(w *world, plan Plan) bool { return w.refuse(plan, k) }),
			fault(fmt.Sprintf("action %d fails, and no other is tried", k+1), func(w *world, plan Plan) bool { return w.failAt(plan, k) }))
	}
	moves = append(moves, fault("crash while a weight is measured", func(w *world, _ Plan) bool {
		measures := w.probe != Probe{}
		w.probe = Probe{}
		return measures
	}))
	for revision := range revisions {
		moves = append(moves, spend("pods of "+name(revision)+" die", func(w *world) *int { return &w.deaths },
			func(w *world) bool {
				set := &w.sets[revision]
				if set.ready == 0 {
					return false
				}
				set.ready, set.killed, set.mourned = 0, true, false
				return true
			}))
	}
	return moves
}

// maxActions is more than any plan has.
const maxActions = 6

// fault is a move in which the plan for a world is only partly carried out. The plan is made before the world changes.
func fault(moveName string, change func(next *world, plan Plan) bool) move {
	return move{moveName, func(w *world) (*world, string) {
		if w.crashes == 0 || w.gone {
			return nil, ""
		}
		plan, next := w.planned(), w.clone()
		next.crashes--
		if !change(next, plan) {
			return nil, ""
		}
		return next, ""
	}}
}

// crashAfter carries out k+1 actions, and loses the status.
func (w *world) crashAfter(plan Plan, k int) bool {
	if len(plan.Actions) <= k {
		return false
	}
	for _, action := range plan.Actions[:k+1] {
		w.apply(action)
	}
	w.probe, w.runner = Probe{}, runner{late: w.runner.late}
	return true
}

// refuse carries out all of a plan except one action, which the API server refuses, and the removal of the finalizer.
func (w *world) refuse(plan Plan, k int) bool {
	if len(plan.Actions) <= k {
		return false
	}
	var undone []Action
	for i, action := range plan.Actions {
		if _, isEnd := action.(RemoveFinalizer); i == k || isEnd && i > k {
			undone = append(undone, action)
		} else {
			w.apply(action)
		}
	}
	w.rememberWithout(plan, undone)
	return true
}

// failAt ends a plan at an action, as a timeout does: later actions are not tried.
func (w *world) failAt(plan Plan, k int) bool {
	if len(plan.Actions) <= k+1 { // the last action is as good as refused
		return false
	}
	for _, action := range plan.Actions[:k] {
		w.apply(action)
	}
	w.rememberWithout(plan, plan.Actions[k:])
	return true
}

// rememberWithout remembers a pass of which some actions were not carried out, if the controller does.
func (w *world) rememberWithout(plan Plan, undone []Action) {
	if IsRemembered(undone) {
		w.remember(plan)
		w.count(plan)
	}
}

// remember writes the status of a pass. If a command was carried out, its annotations must have been removed: otherwise the
// command would be carried out twice.
func (w *world) remember(plan Plan) {
	if before := w.status.Memory; before != nil && before.Command != nil && plan.Status.Memory.Command == nil {
		for _, given := range before.Command.Annotations {
			if value := w.commandOf(given.Key); value != nil && *value == given.Value {
				w.wrong = cmp.Or(w.wrong, fmt.Sprintf("%s=%s was carried out, and is still there", given.Key, given.Value))
			}
		}
	}
	w.status = plan.Status
	w.mourn()
}

func (w *world) commandOf(key string) *string {
	switch key {
	case v1alpha1.AbortAnnotation:
		return w.commands.Abort
	case v1alpha1.RetryAnnotation:
		return w.commands.Retry
	default:
		return w.commands.Promote
	}
}
