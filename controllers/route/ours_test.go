// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func TestRecognition(t *testing.T) {
	for name, tc := range map[string]struct {
		rule string
		want bool
	}{
		"by name":                       {`{name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary, weight: 997}]}`, true},
		"by name, part of several":      {`{name: canaryrollout-reviews-qa-0.12, backendRefs: [{name: reviews-canary, weight: 997}]}`, true},
		"by name, whatever the weight":  {`{name: canaryrollout-reviews-qa-b-10, backendRefs: [{name: reviews-canary}]}`, true},
		"by the weight without a name":  {`{backendRefs: [{name: reviews-canary, weight: 997}]}`, true},
		"the weight as plain JSON":      {`{backendRefs: [{name: reviews-canary, weight: 9.97e+2}]}`, true},
		"name of another rollout":       {`{name: canaryrollout-ratings-qa-0, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"name that begins alike":        {`{name: canaryrollout-reviewsqa-0, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"name without a header route":   {`{name: canaryrollout-reviews-0, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"name without a number":         {`{name: canaryrollout-reviews-qa, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"name that ends otherwise":      {`{name: canaryrollout-reviews-qa-0a, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"name of a wrong type":          {`{name: 7, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"canary of another rollout":     {`{name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-b-canary, weight: 997}]}`, false},
		"canary of another namespace":   {`{name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary, namespace: x, weight: 997}]}`, false},
		"no Service":                    {`{name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary, kind: Backend, weight: 997}]}`, false},
		"our name, another backend too": {`{name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary, weight: 997}, {name: details}]}`, false},
		"our name, no backend":          {`{name: canaryrollout-reviews-qa-0}`, false},
		"no name, another backend too":  {`{backendRefs: [{name: reviews-canary, weight: 997}, {name: details}]}`, false},
		// plugin#217: users' rules with the canary as their only backend were deleted.
		"a user's rule":               {`{matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary}]}`, false},
		"a user's rule, weight 1":     {`{matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 1}]}`, false},
		"a user's rule, weight 100":   {`{backendRefs: [{name: reviews-canary, weight: 100}]}`, false},
		"a user's rule, with a name":  {`{name: qa, backendRefs: [{name: reviews-canary, weight: 997}]}`, false},
		"a user's rule, stable alone": {`{backendRefs: [{name: reviews-stable, weight: 997}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			const source = `{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`
			obj := routeOf(t, "["+tc.rule+","+source+"]")
			want := routeOf(t, "["+source+"]")
			state := plan.HeadersOther
			if !tc.want {
				want, state = obj, plan.HeadersNone
			}
			if got := Read(obj, reviews, nil).Headers; got != state {
				t.Errorf("got %s, want %s", got, state)
			}
			if diff := cmp.Diff(encode(t, want), encode(t, applied(t, obj, reviews, plan.Traffic{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Rollouts a and a-b: by name alone, header route b-qa of one and qa of the other could not be told apart.
func TestRolloutsWhoseNamesBeginAlike(t *testing.T) {
	a := Pair{Rollout: "a", Namespace: "bookinfo", Stable: "a-stable", Canary: "a-canary"}
	ab := Pair{Rollout: "a-b", Namespace: "bookinfo", Stable: "a-b-stable", Canary: "a-b-canary"}
	obj := routeOf(t, `
- backendRefs: [{name: a-stable, weight: 100}, {name: a-canary, weight: 0}]
- backendRefs: [{name: a-b-stable, weight: 100}, {name: a-b-canary, weight: 0}]`)
	both := applied(t, applied(t, obj, a, plan.Traffic{HeaderRoutes: qa}), ab, plan.Traffic{HeaderRoutes: qa})
	if got := Read(both, a, qa).Headers; got != plan.HeadersCurrent {
		t.Errorf("a: got %s", got)
	}
	if got := Read(both, ab, qa).Headers; got != plan.HeadersCurrent {
		t.Errorf("a-b: got %s", got)
	}
	_, err := Patch(both, a, plan.Traffic{HeaderRoutes: []v1alpha1.SetHeaderRoute{headerRoute("b-qa", header("role", "qa"))}})
	wantProblem(t, problemOf(t, err), v1alpha1.ReasonHeaderRouteConflict, "another rule with the name canaryrollout-a-b-qa-0")
	rest := applied(t, applied(t, both, a, plan.Traffic{}), ab, plan.Traffic{})
	if diff := cmp.Diff(encode(t, obj), encode(t, rest)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A CRD that does not know rule names drops them. The rules are then recognized by their weight, are updated and
// removed, and a user's rule that differs only in the weight stays.
func TestNamesPruned(t *testing.T) {
	obj := routeOf(t, `
- {matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 1}]}
- {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}
- {matches: [{path: {type: PathPrefix, value: /b}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}`)
	headerRoutes := append([]v1alpha1.SetHeaderRoute{headerRoute("beta", header("role", "beta"))}, qa...)
	pruned := pruneNames(applied(t, obj, reviews, plan.Traffic{HeaderRoutes: headerRoutes}))
	if got := Read(pruned, reviews, headerRoutes).Headers; got != plan.HeadersCurrent {
		t.Fatalf("got %s", got)
	}
	if patch, err := Patch(pruned, reviews, plan.Traffic{HeaderRoutes: headerRoutes}); patch != nil || err != nil {
		t.Fatalf("got %s, %v", patch, err)
	}
	changed := pruneNames(applied(t, pruned, reviews, plan.Traffic{Weight: 10, HeaderRoutes: qa}))
	if got := Read(changed, reviews, qa); got.Headers != plan.HeadersCurrent || got.Weight != 10 {
		t.Fatalf("got %+v", got)
	}
	if diff := cmp.Diff(encode(t, obj), encode(t, applied(t, changed, reviews, plan.Traffic{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRuleNamesAreValid(t *testing.T) {
	pair := Pair{Rollout: strings.Repeat("r.", 22) + "r1"}
	name := pair.ruleName(strings.Repeat("h", 63), 15, 63)
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		t.Errorf("%s: %v", name, problems)
	}
}

// pruneNames does what the API server does if the CRD has no rule names.
func pruneNames(obj *unstructured.Unstructured) *unstructured.Unstructured {
	pruned := obj.DeepCopy()
	for _, item := range list(pruned.Object, "spec", "rules") {
		if rule, ok := item.(map[string]any); ok {
			delete(rule, "name")
		}
	}
	return pruned
}
