// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
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
		moves = append(moves, silent("pods of "+name(revision), func(w *world) bool { return w.startPods(revision) }))
	}
	return moves
}

func reconcileMove(w *world) (*world, string) {
	plan := w.planned()
	if w.isIdle(plan) {
		return nil, ""
	}
	next := w.clone()
	next.carryOut(plan)
	next.count(plan)
	return next, checkPlan(w, plan)
}

// isIdle says that a plan changes nothing.
func (w *world) isIdle(plan Plan) bool {
	return len(plan.Actions) == 0 && equality.Semantic.DeepEqual(w.status, plan.Status) && asked(w.probe, plan.Probe) == w.probe
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
		if event.Reason == EventResumed {
			w.promotes--
		}
	}
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
			w.canary.selector = none
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
	for k := range 6 { // no plan has more actions
		crashes := func(w *world) *int { return &w.crashes }
		moves = append(moves, spend(fmt.Sprintf("crash after action %d", k+1), crashes, func(w *world) bool { return w.crashAfter(k) }),
			spend(fmt.Sprintf("action %d is refused", k+1), crashes, func(w *world) bool { return w.refuse(k) }))
	}
	moves = append(moves, spend("crash while a weight is measured", func(w *world) *int { return &w.crashes }, func(w *world) bool {
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
				set.ready, set.killed = 0, true
				return true
			}))
	}
	return moves
}

func (w *world) crashAfter(k int) bool {
	plan := w.planned()
	if len(plan.Actions) <= k {
		return false
	}
	for _, action := range plan.Actions[:k+1] {
		w.apply(action)
	}
	w.probe = Probe{}
	return true
}

// refuse carries out all of a plan but one action, and remembers the pass, unless it was a command's annotation that had
// to go first.
func (w *world) refuse(k int) bool {
	plan := w.planned()
	if len(plan.Actions) <= k {
		return false
	}
	for i, action := range plan.Actions {
		_, isEnd := action.(RemoveFinalizer)
		if i != k && !(isEnd && i > k) {
			w.apply(action)
		}
	}
	switch plan.Actions[k].(type) {
	case AddFinalizer, RemoveFinalizer, RemoveAnnotations:
	default:
		w.status = plan.Status
		w.count(plan)
	}
	return true
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
			if key == "promote" && value == "true" {
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
