// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// ofKind returns a live route of another kind with these rules, given as YAML.
func ofKind(t *testing.T, kind, rules string) *unstructured.Unstructured {
	t.Helper()
	obj := routeOf(t, rules)
	obj.SetKind(kind)
	return obj
}

// grpc returns a match of a service, a method, or both; how is empty for the default.
func grpc(how gatewayv1.GRPCMethodMatchType, service, method string) v1alpha1.RequestMatch {
	match := &gatewayv1.GRPCMethodMatch{}
	for field, value := range map[**string]string{&match.Service: service, &match.Method: method} {
		if value != "" {
			*field = &value
		}
	}
	if how != "" {
		match.Type = &how
	}
	return v1alpha1.RequestMatch{GRPCMethod: match}
}

// TestWeightsOfAllKinds: one implementation serves all kinds of routes (T5).
func TestWeightsOfAllKinds(t *testing.T) {
	for _, kind := range []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"} {
		obj := ofKind(t, kind, `[{backendRefs: [{name: reviews-stable, port: 9080}, {name: reviews-canary, port: 9080}]}]`)
		got := Read(applied(t, obj, reviews, plan.Traffic{Weight: 30}), reviews, nil)
		got.MirrorProblem = nil // see TestMirrorProblems
		if diff := cmp.Diff(Reading{Generation: 4, Weight: 30, Headers: plan.HeadersNone}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// TestGRPCMatchesAreJoined checks T7 for a GRPCRoute, which has header and gRPC method matches, but no path.
func TestGRPCMatchesAreJoined(t *testing.T) {
	const regex = gatewayv1.GRPCMethodMatchRegularExpression
	for name, tc := range map[string]struct {
		matches, want string
		requests      []v1alpha1.RequestMatch
	}{
		"no match is a match of all": {``, `[{headers: [{type: Exact, name: role, value: qa}]}]`, []v1alpha1.RequestMatch{header("role", "qa")}},
		"a pattern":                  {``, `[{headers: [{type: RegularExpression, name: role, value: q.*}]}]`, []v1alpha1.RequestMatch{rolePattern("q.*")}},
		"a service":                  {``, `[{method: {type: Exact, service: shop.Reviews}}]`, []v1alpha1.RequestMatch{grpc("", "shop.Reviews", "")}},
		"a method by a pattern":      {``, `[{method: {type: RegularExpression, method: Get.*}}]`, []v1alpha1.RequestMatch{grpc(regex, "", "Get.*")}},
		"a method of the service": {
			`matches: [{method: {type: Exact, service: shop.Reviews}}]`, `[{method: {type: Exact, service: shop.Reviews, method: Get}}]`,
			[]v1alpha1.RequestMatch{grpc("", "", "Get")},
		},
		"beside the source's method": {
			`matches: [{method: {service: shop.Reviews, method: Get}}]`, `[{method: {service: shop.Reviews, method: Get}, headers: [{type: Exact, name: role, value: qa}]}]`,
			[]v1alpha1.RequestMatch{header("role", "qa")},
		},
		"the same already": {
			`matches: [{method: {type: RegularExpression, service: shop.*}}]`, `[{method: {type: RegularExpression, service: shop.*}}]`,
			[]v1alpha1.RequestMatch{grpc(regex, "shop.*", "")},
		},
		"another service, dropped": {
			`matches: [{method: {service: shop.Ratings}}, {method: {method: Get}}]`, `[{method: {method: Get, service: shop.Reviews}}]`,
			[]v1alpha1.RequestMatch{grpc("", "shop.Reviews", "")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			obj := ofKind(t, "GRPCRoute", `[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}], `+tc.matches+`}]`)
			got := applied(t, obj, reviews, plan.Traffic{HeaderRoutes: []v1alpha1.SetHeaderRoute{headerRoute("qa", tc.requests...)}})
			var want []any
			if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, matchesOf(list(got.Object, "spec", "rules")[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			back := applied(t, got, reviews, plan.Traffic{})
			if diff := cmp.Diff(encode(t, obj), encode(t, back)); diff != "" {
				t.Errorf("leftovers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKindsThatCannotMatch: a header route that a route cannot carry is a problem of that header route only, and
// never blocks weights.
func TestKindsThatCannotMatch(t *testing.T) {
	pattern := grpc(gatewayv1.GRPCMethodMatchRegularExpression, "shop.*", "")
	for name, tc := range map[string]struct {
		kind, matches string
		request       v1alpha1.RequestMatch
		message       string
	}{
		"TCP":                   {"TCPRoute", ``, header("role", "qa"), "TCPRoute bookinfo cannot carry header route qa"},
		"TLS":                   {"TLSRoute", ``, header("role", "qa"), "TLSRoute bookinfo cannot carry header route qa"},
		"a query by gRPC":       {"GRPCRoute", ``, query("1"), "gRPC requests have no query parameters"},
		"an HTTP method":        {"GRPCRoute", ``, method("GET"), "gRPC requests have no HTTP method"},
		"a gRPC method by HTTP": {"HTTPRoute", ``, grpc("", "a", ""), "only a GRPCRoute matches gRPC methods"},
		"two patterns":          {"GRPCRoute", `matches: [{method: {type: RegularExpression, service: a.*}}]`, pattern, "which one rule cannot express"},
		"a method that is none": {"GRPCRoute", `matches: [{method: GET}]`, pattern, "its method cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := ofKind(t, tc.kind, `[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}], `+tc.matches+`}]`)
			routes := []v1alpha1.SetHeaderRoute{headerRoute("qa", tc.request)}
			_, err := Patch(obj, reviews, plan.Traffic{HeaderRoutes: routes})
			wantProblem(t, problemOf(t, err), v1alpha1.ReasonHeaderRouteConflict, tc.message)
			if got := Read(obj, reviews, routes); got.Problem == nil || !got.Problem.HeadersOnly {
				t.Errorf("Read says %+v", got.Problem)
			}
			applied(t, obj, reviews, plan.Traffic{Weight: 50})
		})
	}
}

// TestRuleNames: only the named rules are written. Another rule with the pair is another use of the Services. The
// plugin of Argo Rollouts writes every rule with the pair (plugin#226).
func TestRuleNames(t *testing.T) {
	const pair = `backendRefs: [{name: reviews-stable}, {name: reviews-canary}]`
	obj := routeOf(t, `[{name: api, `+pair+`}, {name: admin, `+pair+`}, {`+pair+`}]`)
	scoped := reviews
	scoped.RuleNames = []string{"api"}
	got := applied(t, obj, scoped, plan.Traffic{Weight: 20, HeaderRoutes: onNamedRules(qa...)})
	var names []string
	for _, rule := range list(got.Object, "spec", "rules") {
		names = append(names, nameOf(rule))
	}
	if diff := cmp.Diff([]string{"canaryrollout-reviews-qa-0", "api", "admin", ""}, names); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	want := Reading{Generation: 4, Weight: 20, Headers: plan.HeadersCurrent, OtherUses: "HTTPRoute bookinfo spec.rules[2] names both Services and is not among the ruleNames; " +
		"HTTPRoute bookinfo spec.rules[3] names both Services and is not among the ruleNames"}
	if diff := cmp.Diff(want, Read(got, scoped, onNamedRules(qa...))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before, after := list(obj.Object, "spec", "rules"), list(got.Object, "spec", "rules")
	if diff := cmp.Diff(before[1:], slices.Clone(after[2:])); diff != "" {
		t.Errorf("the other rules (-want +got):\n%s", diff)
	}
	scoped.RuleNames = []string{"apy"}
	wantProblem(t, Read(obj, scoped, nil).Problem, v1alpha1.ReasonBackendPairNotFound, "none of the rules apy of HTTPRoute bookinfo names both Services")
}
