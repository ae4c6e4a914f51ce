// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// both returns a match of the headers of h and the method of m.
func both(h, m v1alpha1.RequestMatch) v1alpha1.RequestMatch {
	h.Method = m.Method
	return h
}

func TestMatchesAreJoined(t *testing.T) {
	for name, tc := range map[string]struct {
		matches, want string
		requests      []v1alpha1.RequestMatch
	}{
		"no match is a match of all":       {``, `[{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}]`, []v1alpha1.RequestMatch{header("role", "qa")}},
		"an empty list, too":               {`matches: []`, `[{path: {type: PathPrefix, value: /}, method: GET}]`, []v1alpha1.RequestMatch{method("GET")}},
		"a match without path":             {`matches: [{method: GET}]`, `[{path: {type: PathPrefix, value: /}, method: GET, queryParams: [{type: Exact, name: qa, value: "1"}]}]`, []v1alpha1.RequestMatch{query("1")}},
		"pattern":                          {`matches: [{path: {type: Exact, value: /a}}]`, `[{path: {type: Exact, value: /a}, headers: [{type: RegularExpression, name: role, value: q.*}]}]`, []v1alpha1.RequestMatch{rolePattern("q.*")}},
		"header and method":                {`matches: [{path: {type: Exact, value: /a}}]`, `[{path: {type: Exact, value: /a}, method: PUT, headers: [{type: Exact, name: role, value: qa}]}]`, []v1alpha1.RequestMatch{both(header("role", "qa"), method("PUT"))}},
		"beside the source's own header":   {`matches: [{path: {value: /}, headers: [{name: env, value: prod, x: y}]}]`, `[{path: {value: /}, headers: [{name: env, value: prod, x: y}, {type: Exact, name: role, value: qa}]}]`, []v1alpha1.RequestMatch{header("role", "qa")}},
		"the source's own header already":  {`matches: [{path: {value: /}, headers: [{name: Role, value: qa}]}]`, `[{path: {value: /}, headers: [{name: Role, value: qa}]}]`, []v1alpha1.RequestMatch{header("role", "qa")}},
		"the same pattern already":         {`matches: [{path: {value: /}, headers: [{type: RegularExpression, name: Role, value: q.*}]}]`, `[{path: {value: /}, headers: [{type: RegularExpression, name: Role, value: q.*}]}]`, []v1alpha1.RequestMatch{rolePattern("q.*")}},
		"query names are case-sensitive":   {`matches: [{path: {value: /}, queryParams: [{name: QA, value: a}]}]`, `[{path: {value: /}, queryParams: [{name: QA, value: a}, {type: Exact, name: qa, value: b}]}]`, []v1alpha1.RequestMatch{query("b")}},
		"other value of a header, dropped": {`matches: [{path: {value: /}, headers: [{name: Role, value: dev}]}, {path: {value: /b}}]`, `[{path: {value: /b}, headers: [{type: Exact, name: role, value: qa}]}]`, []v1alpha1.RequestMatch{header("role", "qa")}},
		"other value of a query, dropped":  {`matches: [{path: {value: /}, queryParams: [{name: qa, value: a}]}, {path: {value: /b}}]`, `[{path: {value: /b}, queryParams: [{type: Exact, name: qa, value: b}]}]`, []v1alpha1.RequestMatch{query("b")}},
		"other method, dropped":            {`matches: [{path: {value: /}, method: GET}, {path: {value: /b}, method: PUT}]`, `[{path: {value: /b}, method: PUT}]`, []v1alpha1.RequestMatch{method("PUT")}},
		"each with each": {
			`matches: [{path: {value: /a}}, {path: {value: /b}}]`,
			`[{path: {value: /a}, headers: [{type: Exact, name: role, value: qa}]}, {path: {value: /a}, queryParams: [{type: Exact, name: qa, value: "1"}]}, {path: {value: /b}, headers: [{type: Exact, name: role, value: qa}]}, {path: {value: /b}, queryParams: [{type: Exact, name: qa, value: "1"}]}]`,
			[]v1alpha1.RequestMatch{header("role", "qa"), query("1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, `[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}], `+tc.matches+`}]`)
			got := applied(t, obj, reviews, plan.Traffic{HeaderRoutes: []v1alpha1.SetHeaderRoute{headerRoute("qa", tc.requests...)}})
			rules := list(got.Object, "spec", "rules")
			if len(rules) != 2 {
				t.Fatalf("got %d rules", len(rules))
			}
			var want []any
			if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, matchesOf(rules[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A header route that fits no rule is a problem of that header route only: weights must still be written, for aborts.
// The plugin of Argo Rollouts writes one header twice into a match, which the API server rejects.
func TestHeaderRoutesThatDoNotFit(t *testing.T) {
	for name, tc := range map[string]struct {
		rule    string
		request v1alpha1.RequestMatch
		message string
	}{
		"never matches":              {`matches: [{headers: [{name: Role, value: dev}]}]`, header("role", "qa"), "no request can match header route qa in HTTPRoute bookinfo"},
		"two expressions":            {`matches: [{headers: [{name: role, value: qa-1}]}]`, rolePattern("qa-.*"), `both match role, one by Exact "qa-1" and one by RegularExpression "qa-.*"`},
		"one header twice in itself": {``, v1alpha1.RequestMatch{Headers: append(header("role", "qa").Headers, header("Role", "dev").Headers...)}, "no request can match"},
		"all requests":               {``, v1alpha1.RequestMatch{}, "would send every request to the canary"},
		"unreadable matches":         {`matches: [text]`, header("role", "qa"), "spec.rules[0]: its matches cannot be read"},
		"unreadable headers":         {`matches: [{headers: text}]`, header("role", "qa"), "its headers cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, `[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}], `+tc.rule+`}]`)
			headerRoutes := []v1alpha1.SetHeaderRoute{headerRoute("qa", tc.request)}
			got := Read(obj, reviews, headerRoutes)
			wantProblem(t, got.Problem, v1alpha1.ReasonHeaderRouteConflict, tc.message)
			if got.Weight != 10 || got.Headers != plan.HeadersNone || !got.Problem.HeadersOnly {
				t.Errorf("got %+v", got)
			}
			_, err := Patch(obj, reviews, plan.Traffic{HeaderRoutes: headerRoutes})
			if diff := cmp.Diff(got.Problem, problemOf(t, err)); diff != "" {
				t.Errorf("Patch has another problem (-Read +Patch):\n%s", diff)
			}
			if weight := Read(applied(t, obj, reviews, plan.Traffic{}), reviews, nil).Weight; weight != 0 {
				t.Errorf("without header routes, the weight is %d", weight)
			}
		})
	}
}

// TestBadExpressionIsRefused checks that a rule that no gateway can compile is never written. Traefik accepts the
// route and drops the rule, so a step counted as done although the testers' requests never reached the canary.
func TestBadExpressionIsRefused(t *testing.T) {
	bad := header("role", "qa(")
	bad.Headers[0].Type = ptr.To(gatewayv1.HeaderMatchRegularExpression)
	routes := []v1alpha1.SetHeaderRoute{headerRoute("qa", bad)}
	_, err := Patch(routeOf(t, atRest), reviews, plan.Traffic{HeaderRoutes: routes})
	wantProblem(t, problemOf(t, err), v1alpha1.ReasonInvalidRegularExpression, `matches[0].headers[0].value: "qa(" is not a valid regular expression`)
	if got := Read(routeOf(t, atRest), reviews, routes); !got.Problem.HeadersOnly {
		t.Error("the weights cannot be written either")
	}
}
