// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The limits of the HTTPRoute CRD. The API server would reject a write that exceeds them, every time.
const (
	maxRules           = 16
	maxMatchesPerRule  = 64
	maxMatchesPerRoute = 128
	maxConditions      = 16
)

// fits returns why the added rules cannot be inserted, or nil. Removal is always possible.
func (l *layout) fits(c changes) *Problem {
	if len(c.added) == 0 {
		return nil
	}
	var rules []any
	for i, rule := range l.rules {
		rules = append(rules, c.added[i]...)
		if !c.gone.Has(i) {
			rules = append(rules, rule)
		}
	}
	for _, s := range l.sources {
		for _, rule := range c.added[s.index] {
			if problem := cmp.Or(l.tooMuchInRule(rule), l.nameTaken(rule, rules)); problem != nil {
				return problem
			}
		}
	}
	return l.tooMuch(rules)
}

func (l *layout) tooMuch(rules []any) *Problem {
	matches := 0
	for _, rule := range rules {
		matches += len(matchesOf(rule))
	}
	if len(rules) > maxRules {
		return l.exceeded(len(rules), "rules", maxRules)
	}
	if matches > maxMatchesPerRoute {
		return l.exceeded(matches, "matches", maxMatchesPerRoute)
	}
	return nil
}

func (l *layout) tooMuchInRule(rule any) *Problem {
	matches := matchesOf(rule)
	if len(matches) > maxMatchesPerRule {
		return l.exceeded(len(matches), "matches in one rule", maxMatchesPerRule)
	}
	for _, item := range matches {
		match, _ := item.(map[string]any)
		for _, key := range []string{"headers", "queryParams"} {
			if n := len(list(match, key)); n > maxConditions {
				return l.exceeded(n, key+" in one match", maxConditions)
			}
		}
	}
	return nil
}

// nameTaken looks for another rule with the name of an added one: names must be unique in a route.
func (l *layout) nameTaken(added any, rules []any) *Problem {
	name := nameOf(added)
	if name == "" { // the schema has no names
		return nil
	}
	count := 0
	for _, rule := range rules {
		if nameOf(rule) == name {
			count++
		}
	}
	if count > 1 {
		return conflict("%s has another rule with the name %s, which a header route needs: rename that rule, or the header route", l.label, name)
	}
	return nil
}

func (l *layout) exceeded(figure int, what string, limit int) *Problem {
	return headersProblem(v1alpha1.ReasonRouteLimitExceeded,
		"with its header routes %s would have %d %s, and the Gateway API allows %d: use fewer header routes or matches, or split the route into several",
		l.label, figure, what, limit)
}

func nameOf(item any) string {
	rule, _ := item.(map[string]any)
	return field(rule, "name", "")
}

func matchesOf(item any) []any {
	rule, _ := item.(map[string]any)
	return list(rule, "matches")
}
