// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// edit is a change of the spec that costs the user a move. It returns whether it changes anything.
func edit(moveName string, change func(*v1alpha1.CanaryRolloutSpec) bool) move {
	return spend("user: "+moveName, func(w *world) *int { return &w.userMoves }, func(w *world) bool {
		spec := *w.spec
		w.spec = &spec
		return change(&spec)
	})
}

// scales lets the user, or an autoscaler, ask for another size, or for none.
func scales(sizes ...int32) []move {
	moves := []move{edit("drops spec.replicas", func(spec *v1alpha1.CanaryRolloutSpec) bool {
		changed := spec.Replicas != nil
		spec.Replicas = nil
		return changed
	})}
	for _, size := range sizes {
		moves = append(moves, edit(fmt.Sprintf("scales to %d", size), func(spec *v1alpha1.CanaryRolloutSpec) bool {
			changed := ptr.Deref(spec.Replicas, -1) != size
			spec.Replicas = &size
			return changed
		}))
	}
	return moves
}

// pauses set and clear spec.paused.
func pauses() []move {
	set := func(moveName string, paused bool) move {
		return edit(moveName, func(spec *v1alpha1.CanaryRolloutSpec) bool {
			changed := spec.Paused != paused
			spec.Paused = paused
			return changed
		})
	}
	return []move{set("sets spec.paused", true), set("clears spec.paused", false)}
}

// editsSteps gives the rollout another list of steps. It has another length, by which a world knows it.
func editsSteps(steps ...v1alpha1.Step) move {
	return edit(fmt.Sprintf("edits the steps: %d", len(steps)), func(spec *v1alpha1.CanaryRolloutSpec) bool {
		changed := len(spec.Steps) != len(steps)
		spec.Steps = steps
		return changed
	})
}

var bothRoutes = []v1alpha1.RouteReference{{Kind: "HTTPRoute", Name: routeName(0)}, {Kind: "HTTPRoute", Name: routeName(1)}}

// editsRoutes removes the second route from spec.traffic, and adds it again.
func editsRoutes() []move {
	set := func(moveName string, count int) move {
		return edit(moveName, func(spec *v1alpha1.CanaryRolloutSpec) bool {
			changed := len(spec.Traffic.Routes) != count
			spec.Traffic.Routes = bothRoutes[:count]
			return changed
		})
	}
	return []move{set("drops the second route", 1), set("names the second route", 2)}
}

// jumps set the operator's clock. What the world does by itself goes by its own.
func jumps(by ...time.Duration) []move {
	var moves []move
	for _, d := range by {
		moves = append(moves, spend(fmt.Sprintf("the clock jumps by %s", d), func(w *world) *int { return &w.jumps }, func(w *world) bool {
			w.now = w.now.Add(d)
			for _, t := range []*time.Time{&w.stable.changed, &w.canary.changed} {
				*t = t.Add(d)
			}
			for i := range w.routes {
				w.routes[i].written, w.routes[i].toldAt = w.routes[i].written.Add(d), w.routes[i].toldAt.Add(d)
			}
			w.isAhead = w.isAhead || d > 0
			return true
		}))
	}
	return moves
}

// size returns spec.replicas or, if that is not set, the current size.
func (w *world) size() int32 {
	if w.spec.Replicas == nil && w.status.Memory != nil && w.status.Memory.StableRevision != "" {
		return w.sets[index(w.status.Memory.StableRevision)].desired
	}
	return ptr.Deref(w.spec.Replicas, 1)
}
