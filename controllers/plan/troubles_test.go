// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// trouble is a Problem of a Service, and what becomes of its endpoints meanwhile.
type trouble int

const (
	untroubled trouble = iota
	// claimed by another rollout; all else is as it was.
	claimed
	// mismatched selects by a label that no pod has.
	mismatched
	// missing is made again by its user, without a revision in its selector.
	missing
)

// troubles come over a Service or a route, and go. The user's own selector comes with a new Service, and can come at any time.
func troubles() []move {
	left := func(w *world) *int { return &w.troubles }
	var moves []move
	for role, serviceOf := range []func(*world) *service{
		func(w *world) *service { return &w.stable }, func(w *world) *service { return &w.canary },
	} {
		role := []string{"stable", "canary"}[role]
		for kind, what := range map[trouble]string{claimed: "is claimed", mismatched: "gets a label", missing: "is deleted"} {
			moves = append(moves, spend("the "+role+" Service "+what, left, func(w *world) bool {
				s := serviceOf(w)
				if s.trouble != untroubled {
					return false
				}
				if s.trouble = kind; kind == missing {
					s.selector, s.stripped = none, true
				}
				s.excused = kind != claimed
				return true
			}))
		}
		moves = append(moves, silent("the "+role+" Service is as it should be", func(w *world) bool { return w.helps(serviceOf(w)) }),
			spend("the "+role+" Service loses its revision", left, func(w *world) bool {
				s := serviceOf(w)
				changed := s.selector != none
				s.selector, s.stripped = none, true
				return changed
			}))
	}
	return append(moves,
		spend("the route gets a problem", left, func(w *world) bool {
			changed := !w.route(0).troubled
			w.route(0).troubled = true
			return changed
		}),
		silent("the route is as it should be", (*world).helpRoute))
}

func (w *world) helps(s *service) bool {
	changed := s.trouble != untroubled
	s.trouble = untroubled
	w.forgive()
	return changed
}

func (w *world) helpRoute() bool {
	changed := w.route(0).troubled
	w.route(0).troubled = false
	return changed
}

func (s *service) problem() *Problem {
	switch s.trouble {
	case claimed:
		return &Problem{Reason: v1alpha1.ReasonServiceConflict, Message: "another rollout has it"}
	case mismatched:
		return &Problem{Reason: v1alpha1.ReasonServiceSelectorMismatch, Message: "it selects pods by version=v9"}
	case missing:
		return &Problem{Reason: v1alpha1.ReasonServiceNotFound, Message: "it is not found"}
	default:
		return nil
	}
}

// reports updates the status of a ReplicaSet, in worlds where that takes time.
func (w *world) reports(revision int) bool {
	set := &w.sets[revision]
	if set.told == set.ready && set.isCurrent {
		return false
	}
	set.told, set.isCurrent = set.ready, true
	return true
}

// reported is what the status of a ReplicaSet says.
func (w *world) reported(revision int) (pods int32, isCurrent bool) {
	set := w.sets[revision]
	if !w.lagging {
		return set.ready, true
	}
	return set.told, set.isCurrent
}
