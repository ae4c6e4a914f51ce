// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// ruleWith returns a managed rule with this many matches of this many headers each.
func ruleWith(matches, headers int) string {
	names := make([]string, headers)
	for i := range names {
		names[i] = fmt.Sprintf("{name: h%d, value: x}", i)
	}
	match := "{headers: [" + strings.Join(names, ",") + "]}"
	return "{matches: [" + strings.TrimSuffix(strings.Repeat(match+",", matches), ",") + "], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}"
}

// TestLimits: what the API server would reject is reported and not written. The plugin of Argo Rollouts runs into
// these limits.
func TestLimits(t *testing.T) {
	repeat := func(rule string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(rule+",", n), ",") + "]"
	}
	two := []v1alpha1.SetHeaderRoute{headerRoute("qa", header("role", "qa"), query("1"))}
	for name, tc := range map[string]struct {
		rules        string
		headerRoutes []v1alpha1.SetHeaderRoute
		message      string
	}{
		"16 rules":           {repeat(ruleWith(1, 1), 8), qa, ""},
		"18 rules":           {repeat(ruleWith(1, 1), 9), qa, "18 rules, and the Gateway API allows 16"},
		"64 matches":         {repeat(ruleWith(32, 1), 1), two, ""},
		"66 matches":         {repeat(ruleWith(33, 1), 1), two, "66 matches in one rule, and the Gateway API allows 64"},
		"128 matches":        {repeat(ruleWith(16, 1), 4), qa, ""},
		"136 matches":        {repeat(ruleWith(17, 1), 4), qa, "136 matches, and the Gateway API allows 128"},
		"16 headers":         {repeat(ruleWith(1, 15), 1), qa, ""},
		"17 headers":         {repeat(ruleWith(1, 16), 1), qa, "17 headers in one match, and the Gateway API allows 16"},
		"16 of them already": {repeat(ruleWith(1, 16), 1), []v1alpha1.SetHeaderRoute{headerRoute("qa", header("H3", "x"))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, tc.rules)
			got := Read(obj, reviews, tc.headerRoutes)
			if tc.message == "" {
				if got.Problem != nil {
					t.Fatalf("got %v", got.Problem)
				}
				applied(t, obj, reviews, plan.Traffic{HeaderRoutes: tc.headerRoutes})
				return
			}
			wantProblem(t, got.Problem, v1alpha1.ReasonRouteLimitExceeded, tc.message)
			if !got.Problem.HeadersOnly || got.Weight != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestNameTaken(t *testing.T) {
	obj := routeOf(t, `
- {name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary}, {name: details}]}
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]`)
	got := Read(obj, reviews, qa)
	wantProblem(t, got.Problem, v1alpha1.ReasonHeaderRouteConflict, "HTTPRoute bookinfo has another rule with the name canaryrollout-reviews-qa-0")
	if !got.Problem.HeadersOnly || got.Weight != 0 {
		t.Errorf("got %+v", got)
	}
}
