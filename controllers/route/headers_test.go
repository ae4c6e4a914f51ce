// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestHeaderRules checks T7: a header rule is its source rule with the match added, and is removed completely. In
// comments of tests, plugin#207 is an issue of the Gateway API plugin of Argo Rollouts, as in README.md.
func TestHeaderRules(t *testing.T) {
	for name, tc := range map[string]struct {
		rules        string
		headerRoutes []v1alpha1.SetHeaderRoute
		want         string
	}{
		"before its source, with the canary's port": {atRest, qa, `
- name: canaryrollout-reviews-qa-0
  matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}]
  backendRefs: [{group: "", kind: Service, name: reviews-canary, port: 9080, weight: 997}]` + atRest},
		// plugin#207, plugin#143: only the first rule of a route got a header rule.
		"one for each managed rule": {`
- {matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}
- {matches: [{path: {type: PathPrefix, value: /x}}], backendRefs: [{name: details}]}
- {matches: [{path: {type: PathPrefix, value: /b}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`, qa, `
- {name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /a}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 997}]}
- {matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}
- {matches: [{path: {type: PathPrefix, value: /x}}], backendRefs: [{name: details}]}
- {name: canaryrollout-reviews-qa-1, matches: [{path: {type: PathPrefix, value: /b}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 997}]}
- {matches: [{path: {type: PathPrefix, value: /b}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`},
		// plugin#87: a route with filters could not have header rules; timeouts, retry and sessionPersistence are
		// still omitted there. A rule whose filter replaces the matched prefix may have only one match, so here each
		// match gets its own rule.
		"filters and all else go along": {`
- name: main
  matches: [{path: {type: PathPrefix, value: /smart}}]
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
  timeouts: {request: 10s}
  retry: {attempts: 2}
  sessionPersistence: {sessionName: s}
  unheardOf: [1, {a: b}]
  backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0, filters: [{type: RequestHeaderModifier}]}]`,
			onNamedRules(headerRoute("qa", header("role", "qa"), query("1"))), `
- name: canaryrollout-reviews-qa-0
  matches: [{path: {type: PathPrefix, value: /smart}, headers: [{type: Exact, name: role, value: qa}]}]
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
  timeouts: {request: 10s}
  retry: {attempts: 2}
  sessionPersistence: {sessionName: s}
  unheardOf: [1, {a: b}]
  backendRefs: [{name: reviews-canary, weight: 997, filters: [{type: RequestHeaderModifier}]}]
- name: canaryrollout-reviews-qa-0.1
  matches: [{path: {type: PathPrefix, value: /smart}, queryParams: [{type: Exact, name: qa, value: "1"}]}]
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
  timeouts: {request: 10s}
  retry: {attempts: 2}
  sessionPersistence: {sessionName: s}
  unheardOf: [1, {a: b}]
  backendRefs: [{name: reviews-canary, weight: 997, filters: [{type: RequestHeaderModifier}]}]
- name: main
  matches: [{path: {type: PathPrefix, value: /smart}}]
  filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
  timeouts: {request: 10s}
  retry: {attempts: 2}
  sessionPersistence: {sessionName: s}
  unheardOf: [1, {a: b}]
  backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0, filters: [{type: RequestHeaderModifier}]}]`},
		// plugin#215: header routes on one header with several values overwrote each other.
		"several header routes on one header": {`
- {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`,
			[]v1alpha1.SetHeaderRoute{headerRoute("qa", header("role", "qa")), headerRoute("none"), headerRoute("beta", header("role", "beta"), header("role", "dev"))}, `
- {name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 997}]}
- name: canaryrollout-reviews-beta-0
  matches:
  - {path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: beta}]}
  - {path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: dev}]}
  backendRefs: [{name: reviews-canary, weight: 997}]
- {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			obj, target := routeOf(t, tc.rules), plan.Traffic{HeaderRoutes: tc.headerRoutes}
			if got := Read(obj, reviews, tc.headerRoutes); got.Headers != plan.HeadersNone || got.Problem != nil {
				t.Errorf("before, got %+v", got)
			}
			got := applied(t, obj, reviews, target)
			if diff := cmp.Diff(encode(t, routeOf(t, tc.want)), encode(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want := Reading{Generation: 4, Headers: plan.HeadersCurrent}
			if diff := cmp.Diff(want, Read(got, reviews, tc.headerRoutes)); diff != "" {
				t.Errorf("after, Read (-want +got):\n%s", diff)
			}
			if state := Read(got, reviews, nil).Headers; state != plan.HeadersOther {
				t.Errorf("without header routes, got %s", state)
			}
			if diff := cmp.Diff(encode(t, obj), encode(t, applied(t, got, reviews, plan.Traffic{}))); diff != "" {
				t.Errorf("taken out again (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever happened to our rules, one patch restores exactly those that should exist, and nothing else.
func TestHeaderRulesFollow(t *testing.T) {
	const (
		source = `{matches: [{path: {type: PathPrefix, value: /}}], timeouts: {request: 5s}, backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`
		fresh  = `{name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], timeouts: {request: 5s}, backendRefs: [{name: reviews-canary, weight: 997}]}`
		user   = `{name: mine, backendRefs: [{name: reviews-canary, weight: 1}]}`
	)
	want := "[" + user + "," + fresh + "," + source + "]"
	for name, rules := range map[string]string{
		"the source was edited":     `[` + user + `, {name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], timeouts: {request: 3s}, backendRefs: [{name: reviews-canary, weight: 997}]}, ` + source + `]`,
		"the canary was edited":     `[` + user + `, {name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], timeouts: {request: 5s}, backendRefs: [{name: reviews-canary, port: 1, weight: 0}]}, ` + source + `]`,
		"a user's rule in between":  `[` + fresh + `,` + user + `,` + source + `]`,
		"after its source":          `[` + user + `,` + source + `,` + fresh + `]`,
		"another header route":      `[` + user + `, {name: canaryrollout-reviews-beta-0, backendRefs: [{name: reviews-canary}]}, ` + source + `]`,
		"a source was taken out":    `[` + user + `,` + fresh + `, {name: canaryrollout-reviews-qa-1, backendRefs: [{name: reviews-canary}]}, ` + source + `]`,
		"part of a former pair":     `[` + user + `,` + fresh + `, {name: canaryrollout-reviews-qa-0.1, backendRefs: [{name: reviews-canary}]}, ` + source + `]`,
		"GitOps wrote it all over":  `[` + user + `,` + source + `]`,
		"without a name, and other": `[` + user + `, {backendRefs: [{name: reviews-canary, weight: 997}]}, ` + source + `]`,
		// plugin#151, argo-rollouts#2769: orphans accumulated. plugin#90, plugin#95: removing them by index removed
		// the wrong rule, or panicked.
		"orphans all over": `[{name: canaryrollout-reviews-a-0, backendRefs: [{name: reviews-canary}]},` + user + `, {name: canaryrollout-reviews-a-1, backendRefs: [{name: reviews-canary}]},` + fresh + `,` + fresh + `,` + source + `, {name: canaryrollout-reviews-a-2, backendRefs: [{name: reviews-canary}]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, rules)
			if got := Read(obj, reviews, qa); got.Headers == plan.HeadersCurrent || got.Problem != nil || got.Weight != 0 {
				t.Errorf("got %+v", got)
			}
			got := applied(t, obj, reviews, plan.Traffic{HeaderRoutes: qa})
			if diff := cmp.Diff(encode(t, routeOf(t, want)), encode(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			got = applied(t, obj, reviews, plan.Traffic{})
			if diff := cmp.Diff(encode(t, routeOf(t, "["+user+","+source+"]")), encode(t, got)); diff != "" {
				t.Errorf("taken out (-want +got):\n%s", diff)
			}
		})
	}
}

// Two rollouts share a rule. Each inserts its header rules before it, and neither keeps moving the other's away.
func TestHeaderRulesOfTwoRolloutsInOneRule(t *testing.T) {
	ratings := Pair{Rollout: "ratings", Namespace: "bookinfo", Stable: "ratings-stable", Canary: "ratings-canary"}
	for name, pruned := range map[string]bool{"named": false, "names pruned": true} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, `[{backendRefs: [{name: reviews-stable, weight: 50}, {name: reviews-canary, weight: 0}, {name: ratings-stable, weight: 50}, {name: ratings-canary, weight: 0}]}]`)
			for _, pair := range []Pair{reviews, ratings} {
				obj = applied(t, obj, pair, plan.Traffic{HeaderRoutes: qa})
				if pruned {
					obj = pruneNames(obj)
				}
			}
			for _, pair := range []Pair{reviews, ratings} {
				if patch, err := Patch(obj, pair, plan.Traffic{HeaderRoutes: qa}); patch != nil || err != nil {
					t.Errorf("%s: got %s, %v", pair.Rollout, patch, err)
				}
				want := Reading{Generation: 4, Headers: plan.HeadersCurrent, Total: 50}
				if diff := cmp.Diff(want, Read(obj, pair, qa)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", pair.Rollout, diff)
				}
			}
		})
	}
}

// TestNamedRules checks that a rule with a name is copied only if the step allows it (T7). A login that is attached
// to the rule by sectionName does not apply to the copy, and anybody with the header got past it
// (envoyproxy/gateway#5384). Weights and rollbacks are not affected.
func TestNamedRules(t *testing.T) {
	const rules = `[{name: private, matches: [{path: {type: PathPrefix, value: /admin}}], ` + pairRefs + `}, {` + pairRefs + `}]`
	obj := routeOf(t, rules)
	_, err := Patch(obj, reviews, plan.Traffic{Weight: 10, HeaderRoutes: qa})
	wantProblem(t, problemOf(t, err), v1alpha1.ReasonHeaderRouteOnNamedRule, "spec.rules[0], which has the name private")
	reading := Read(obj, reviews, qa)
	wantProblem(t, reading.Problem, v1alpha1.ReasonHeaderRouteOnNamedRule, "set allowNamedRules: true")
	if !reading.Problem.HeadersOnly {
		t.Error("the weights cannot be written either")
	}
	applied(t, obj, reviews, plan.Traffic{Weight: 10, HeaderRoutes: []v1alpha1.SetHeaderRoute{headerRoute("qa")}})
	there := applied(t, obj, reviews, plan.Traffic{Weight: 10, HeaderRoutes: onNamedRules(qa...)})
	if got := Read(there, reviews, onNamedRules(qa...)).Headers; got != plan.HeadersCurrent {
		t.Errorf("header rules that are meant are %s", got)
	}
	applied(t, there, reviews, plan.Traffic{})
}
