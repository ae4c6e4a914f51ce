// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestMirrorWithoutFractions checks mirrors with a CRD older than Gateway API v1.3. It drops the fraction: 10 %
// became 100 %, the filter was not recognized, and each pass added another one.
func TestMirrorWithoutFractions(t *testing.T) {
	old := reviews
	old.Missing.MirrorFraction = true
	const pruned = `{type: RequestMirror, requestMirror: {backendRef: {group: "", kind: Service, name: reviews-canary, port: 9080}}}`
	_, err := Patch(routeOf(t, filtered()), old, plan.Traffic{Mirror: 10})
	wantProblem(t, problemOf(t, err), v1alpha1.ReasonMirrorNotSupported, "has no requestMirror.fraction")
	wantProblem(t, Read(routeOf(t, filtered()), old, nil).MirrorProblem, v1alpha1.ReasonMirrorNotSupported, "install Gateway API v1.3 or newer")
	for name, tc := range map[string]struct{ rules, want string }{
		"one":           {filtered(usersFilter, pruned), filtered(usersFilter)},
		"all there are": {filtered(strings.Split(strings.Repeat(pruned+";", 15)+pruned, ";")...), `[{` + pairRefs + `}]`},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, tc.rules)
			if got := Read(obj, old, nil).Mirror; got != plan.MixedWeight {
				t.Errorf("reads a mirror of %d", got)
			}
			after := applied(t, obj, old, plan.Traffic{Weight: 10})
			want := applied(t, routeOf(t, tc.want), old, plan.Traffic{Weight: 10})
			if diff := cmp.Diff(want.Object["spec"], after.Object["spec"]); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if got := Read(obj, reviews, nil).Mirror; got != 0 {
				t.Errorf("a mirror without a fraction is taken for ours where the CRD has fractions: %d", got)
			}
		})
	}
	users := routeOf(t, filtered(usersMirror))
	if got := Read(users, old, nil).Mirror; got != 0 {
		t.Errorf("the user's mirror is taken for ours: %d", got)
	}
}

// TestHeaderRulesWithoutNames checks that no name is written if the CRD has none, since it would be rejected, and
// that such rules are recognized.
func TestHeaderRulesWithoutNames(t *testing.T) {
	old := reviews
	old.Missing.RuleNames = true
	target := plan.Traffic{HeaderRoutes: []v1alpha1.SetHeaderRoute{headerRoute("qa", header("role", "qa")), headerRoute("beta", header("role", "beta"))}}
	after := applied(t, routeOf(t, atRest), old, target)
	rules := list(after.Object, "spec", "rules")
	if isNamed := func(rule any) bool { return nameOf(rule) != "" }; slices.ContainsFunc(rules, isNamed) {
		t.Errorf("a rule has a name: %v", rules)
	}
	if got := Read(after, old, target.HeaderRoutes).Headers; got != plan.HeadersCurrent {
		t.Errorf("header rules are %s", got)
	}
	if got := applied(t, after, old, plan.Traffic{}); len(list(got.Object, "spec", "rules")) != len(rules)-2 {
		t.Errorf("header rules are left: %v", got.Object["spec"])
	}
}
