// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// render returns the header rules of each source, in the order of the header routes (T7).
func (l *layout) render(headerRoutes []v1alpha1.SetHeaderRoute) ([][]any, *Problem) {
	rendered := make([][]any, len(l.sources))
	for _, headerRoute := range headerRoutes {
		if problem := l.cannotCarry(headerRoute); problem != nil {
			return nil, problem
		}
		reach := 0
		for n, s := range l.sources {
			matches, err := s.join(headerRoute, l.kind)
			if err != nil {
				return nil, conflict("header route %s does not fit %s: %v", headerRoute.Name, l.at(s.index), err)
			}
			reach += len(matches)
			rendered[n] = append(rendered[n], l.headerRules(n, headerRoute.Name, matches)...)
		}
		if reach == 0 && len(headerRoute.Matches) > 0 && len(l.sources) > 0 {
			return nil, conflict("no request can match header route %s in %s, because its rules match the same header, query parameter or method by a different value: change setHeaderRoute",
				headerRoute.Name, l.label)
		}
	}
	return rendered, nil
}

// cannotCarry returns why a header route fits no rule of this route, or must not be added to one; nil if it can be.
func (l *layout) cannotCarry(headerRoute v1alpha1.SetHeaderRoute) *Problem {
	if len(headerRoute.Matches) == 0 {
		return nil
	}
	if !l.kind.matchesHeaders {
		return conflict("%s cannot carry header route %s, because its traffic cannot be matched: remove it from the steps, or the route from spec.traffic.routes",
			l.label, headerRoute.Name)
	}
	if err := CheckExpressions(headerRoute); err != nil {
		return headersProblem(v1alpha1.ReasonInvalidRegularExpression,
			"header route %s: %v; correct it in setHeaderRoute: a gateway may accept the rule and ignore it", headerRoute.Name, err)
	}
	for _, s := range l.sources {
		if name := nameOf(s.rule); name != "" && !headerRoute.AllowNamedRules {
			return l.namedRule(headerRoute.Name, s.index, name)
		}
	}
	return nil
}

// namedRule refuses to copy a rule that has a name. A policy can be attached to that name, and the copy would escape
// the policy (T7).
func (l *layout) namedRule(headerRoute string, index int, name string) *Problem {
	return headersProblem(v1alpha1.ReasonHeaderRouteOnNamedRule,
		"header route %s would copy %s, which has the name %s: a policy that is attached to that name by sectionName does not apply to the copy; "+
			"if there is none, or that is intended, set allowNamedRules: true in setHeaderRoute; otherwise remove the name from the rule and attach the policy to the route",
		headerRoute, l.at(index), name)
}

// join ANDs each match of the source with each of the header route. Pairs that no request can match are omitted.
func (s source) join(headerRoute v1alpha1.SetHeaderRoute, kind profile) ([]any, error) {
	var joined []any
	matches := list(s.rule, "matches")
	if len(matches) == 0 {
		matches = []any{map[string]any{}}
	}
	for _, item := range matches {
		match, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("its matches cannot be read")
		}
		for _, request := range headerRoute.Matches {
			both, err := kind.join(match, request)
			switch {
			case errors.Is(err, errDisjoint):
			case err != nil:
				return nil, err
			default:
				joined = append(joined, both)
			}
		}
	}
	return joined, nil
}

// headerRules returns the rules for these matches: one, or one per match if the Gateway API allows only one.
func (l *layout) headerRules(n int, headerRoute string, matches []any) []any {
	s, size := l.sources[n], len(matches)
	if s.replacesPrefix() {
		size = 1
	}
	var rules []any
	for part := 0; part*size < len(matches); part++ {
		rules = append(rules, l.headerRule(s, l.pair.ruleName(headerRoute, n, part), matches[part*size:(part+1)*size]))
	}
	return rules
}

// headerRule copies the whole rule, including fields unknown to our types. What applies to the user's requests also
// applies to the canary's (timeouts, retry, filters, and those of the canary's backendRef). Only the mirror is
// omitted: its copies would go where the requests already go.
func (l *layout) headerRule(s source, name string, matches []any) any {
	rule, ref := runtime.DeepCopyJSON(s.rule), runtime.DeepCopyJSON(s.canary.ref)
	ref["weight"] = marker
	rule["matches"], rule["backendRefs"] = matches, []any{ref}
	if !l.pair.Missing.RuleNames {
		rule["name"] = name
	}
	if len(l.pair.mirrors(rule)) > 0 {
		rule["filters"] = l.pair.withoutMirror(list(rule, "filters"))
		if len(list(rule, "filters")) == 0 {
			delete(rule, "filters")
		}
	}
	return rule
}

// replacesPrefix reports whether a filter of the rule replaces the matched prefix. The CRD then allows only one match.
func (s source) replacesPrefix() bool {
	for _, filters := range [][]any{list(s.rule, "filters"), list(s.canary.ref, "filters")} {
		for _, item := range filters {
			filter, _ := item.(map[string]any)
			for _, kind := range []string{"urlRewrite", "requestRedirect"} {
				if how, _, _ := unstructured.NestedString(filter, kind, "path", "type"); how == "ReplacePrefixMatch" {
					return true
				}
			}
		}
	}
	return false
}

// without returns the map without a key. The original is unchanged.
func without(original map[string]any, key string) map[string]any {
	reduced := maps.Clone(original)
	delete(reduced, key)
	return reduced
}
