// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
)

// move is one thing that can happen to a world. It returns nil when it cannot.
type move struct {
	name string
	make func(*world) (*world, string)
}

// silent is a move of the environment that breaks no rule by itself.
func silent(moveName string, change func(*world) bool) move {
	return move{moveName, func(w *world) (*world, string) {
		next := w.clone()
		if !change(next) {
			return nil, ""
		}
		return next, ""
	}}
}

func environment() []move {
	moves := []move{
		silent("stable slices", func(w *world) bool { return w.syncSlices(&w.stable) }),
		silent("canary slices", func(w *world) bool { return w.syncSlices(&w.canary) }),
		silent("proxies learn stable endpoints", func(w *world) bool { return w.syncProxyEndpoints(&w.stable) }),
		silent("proxies learn canary endpoints", func(w *world) bool { return w.syncProxyEndpoints(&w.canary) }),
		silent("probe answers", (*world).measure),
		{"reconcile", reconcileMove},
		{"tick", tickMove},
	}
	for i := range maxRoutes {
		moves = append(moves, silent("gateway reports "+routeName(i), func(w *world) bool { return w.accept(i) }),
			silent("proxies learn "+routeName(i), func(w *world) bool { return w.syncProxyRoute(i) }))
	}
	for revision := range revisions {
		moves = append(moves, silent("pods of "+name(revision), func(w *world) bool { return w.startPods(revision) }),
			silent("status of "+name(revision), func(w *world) bool { return w.lagging && w.reports(revision) }))
	}
	return moves
}

func reconcileMove(w *world) (*world, string) {
	plan := w.planned()
	if w.isIdle(plan) {
		return nil, ""
	}
	if len(plan.Actions) > maxActions {
		return w, "a plan has more actions than any fault knows"
	}
	next := w.clone()
	next.carryOut(plan)
	next.count(plan)
	return next, cmp.Or(checkMoves(w), checkDelay(w, next, plan))
}

// checkMoves checks each move of a pass by itself, as if each had a pass of its own.
func checkMoves(w *world) string {
	at := w
	for _, plan := range w.moves() {
		if why := checkPlan(at, plan); why != "" {
			return why
		}
		at = at.clone()
		if at.status = plan.Status; len(plan.Actions) > 0 {
			at.commands = Commands{} // after other actions there is no further move
		}
	}
	return ""
}

// checkDelay checks that it does not matter when a status is written for which nobody waits.
func checkDelay(before, after *world, plan Plan) string {
	if !MayWait(before.status, plan.Status) {
		return ""
	}
	delayed, written := after.clone(), after.planned()
	delayed.status = before.status
	late := delayed.planned()
	if !equality.Semantic.DeepEqual(late.Actions, written.Actions) || !MayWait(late.Status, written.Status) ||
		!equality.Semantic.DeepEqual(late.Events, written.Events) || !late.WakeAt.Equal(written.WakeAt) {
		return "a report that is written later changes what the next pass does"
	}
	return ""
}

// isIdle reports whether a plan changes nothing.
func (w *world) isIdle(plan Plan) bool {
	return len(plan.Actions) == 0 && equality.Semantic.DeepEqual(w.status, plan.Status) && asked(w.probe, plan.Probe()) == w.probe && w.runner.same(plan)
}

func tickMove(w *world) (*world, string) {
	wakeAt := w.planned().WakeAt
	if wakeAt.IsZero() || wakeAt.Sub(w.now) > time.Minute {
		return nil, ""
	}
	next := w.clone()
	next.tick(wakeAt)
	return next, ""
}

// count follows the commands that were carried out.
func (w *world) count(plan Plan) {
	for _, event := range plan.Events {
		if event.Reason == EventResumed || event.Reason == EventPromoting && strings.Contains(event.Message, "by hand") {
			w.promotes--
		}
	}
}

// spend is a move that can only be made so many times.
func spend(moveName string, budget func(*world) *int, change func(*world) bool) move {
	return silent(moveName, func(w *world) bool {
		if *budget(w) == 0 || w.gone {
			return false
		}
		*budget(w)--
		return change(w)
	})
}

func userMoves() []move {
	user := func(moveName string, change func(*world) bool) move {
		return spend("user: "+moveName, func(w *world) *int { return &w.userMoves }, change)
	}
	edit := func(revision int) move {
		return user("applies "+name(revision), func(w *world) bool {
			changed := w.template != revision
			w.template = revision
			return changed
		})
	}
	command := func(key string, field func(*Commands) **string, value string) move {
		return user(key+"="+value, func(w *world) bool {
			target := field(&w.commands)
			if *target != nil {
				return false
			}
			*target = &value
			if key == "promote" {
				w.promotes++
			}
			return true
		})
	}
	promote := func(c *Commands) **string { return &c.Promote }
	return []move{
		edit(revA), edit(revB), edit(revC),
		command("promote", promote, "true"), command("promote", promote, "full"),
		command("abort", func(c *Commands) **string { return &c.Abort }, "true"),
		command("retry", func(c *Commands) **string { return &c.Retry }, "true"),
		user("deletes", func(w *world) bool {
			deleted := w.deleted.IsZero()
			w.deleted = w.now
			return deleted
		}),
	}
}

// only returns the moves with these names.
func only(moves []move, names ...string) []move {
	return slices.DeleteFunc(moves, func(m move) bool { return !slices.Contains(names, m.name) })
}
