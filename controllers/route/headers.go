// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// changes turn the header rules of a route into those that it should have.
type changes struct {
	// gone are the indexes of rules to remove.
	gone sets.Set[int]
	// added are rules to insert before the rule at an index.
	added map[int][]any
}

func (c changes) none() bool { return len(c.gone)+len(c.added) == 0 }

// headerChanges compares the rules source by source (T6, T7). Rules right before their source that equal a fresh
// rendering stay, all other rules of ours are removed, and missing ones are inserted right before their source.
func (l *layout) headerChanges(headerRoutes []v1alpha1.SetHeaderRoute) (changes, *Problem) {
	c := changes{gone: l.own.Clone(), added: map[int][]any{}}
	fresh, problem := l.render(headerRoutes)
	if problem != nil {
		return c, problem
	}
	for n, s := range l.sources {
		places := l.ownBefore(s)
		if equalRules(l.rulesAt(places), fresh[n]) {
			c.gone.Delete(places...)
			continue
		}
		if len(fresh[n]) > 0 {
			c.added[s.index] = fresh[n]
		}
	}
	return c, l.fits(c)
}

// ownBefore returns the indexes of our rules in the run of header rules, of any rollout, that ends at a source.
func (l *layout) ownBefore(s source) []int {
	first := s.index
	for first > 0 && isHeaderRule(l.rules[first-1]) {
		first--
	}
	var places []int
	for i := first; i < s.index; i++ {
		if l.own.Has(i) {
			places = append(places, i)
		}
	}
	return places
}

func (l *layout) rulesAt(places []int) []any {
	rules := make([]any, 0, len(places))
	for _, i := range places {
		rules = append(rules, l.rules[i])
	}
	return rules
}

// headerState returns the Headers of a Reading.
func (l *layout) headerState(c changes, problem *Problem) plan.HeaderState {
	switch {
	case len(l.own) == 0:
		return plan.HeadersNone
	case l.problem != nil || problem != nil || !c.none():
		return plan.HeadersOther
	default:
		return plan.HeadersCurrent
	}
}

// conflict returns a Problem that concerns only header routes.
func conflict(format string, args ...any) *Problem {
	return headersProblem(v1alpha1.ReasonHeaderRouteConflict, format, args...)
}
