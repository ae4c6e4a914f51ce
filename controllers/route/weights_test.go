// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func TestReadWeights(t *testing.T) {
	for name, tc := range map[string]struct {
		rules         string
		weight, total int32
	}{
		"at rest":                     {`[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}]`, 0, 0},
		"ten percent":                 {`[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}]`, 10, 0},
		"all":                         {`[{backendRefs: [{name: reviews-stable, weight: 0}, {name: reviews-canary, weight: 100}]}]`, 100, 0},
		"plain JSON numbers":          {`[{backendRefs: [{name: reviews-stable, weight: 9.0e+1}, {name: reviews-canary, weight: 1.0e+1}]}]`, 10, 0},
		"defaults, one to one":        {`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary}]}]`, plan.MixedWeight, 0},
		"right share, other total":    {`[{backendRefs: [{name: reviews-stable, weight: 9}, {name: reviews-canary, weight: 1}]}]`, plan.MixedWeight, 0},
		"all zero":                    {`[{backendRefs: [{name: reviews-stable, weight: 0}, {name: reviews-canary, weight: 0}]}]`, plan.MixedWeight, 0},
		"unreadable":                  {`[{backendRefs: [{name: reviews-stable, weight: much}, {name: reviews-canary, weight: 10}]}]`, plan.MixedWeight, 0},
		"huge":                        {`[{backendRefs: [{name: reviews-stable, weight: 9223372036854775807}, {name: reviews-canary, weight: -9223372036854775707}]}]`, plan.MixedWeight, 0},
		"fraction":                    {`[{backendRefs: [{name: reviews-stable, weight: 99.5}, {name: reviews-canary, weight: 0.5}]}]`, plan.MixedWeight, 0},
		"two rules agree":             {`[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}, {backendRefs: [{name: reviews-canary, weight: 10}, {name: reviews-stable, weight: 90}]}]`, 10, 0},
		"two rules differ":            {`[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}, {backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}]`, plan.MixedWeight, 0},
		"beside others":               {`[{backendRefs: [{name: reviews-stable, weight: 45}, {name: reviews-canary, weight: 5}, {name: details, weight: 50}]}]`, 10, 50},
		"beside the default weight":   {`[{backendRefs: [{name: reviews-stable, weight: 45}, {name: reviews-canary, weight: 5}, {name: details}]}]`, 10, 50},
		"beside an unreadable weight": {`[{backendRefs: [{name: reviews-stable, weight: 45}, {name: reviews-canary, weight: 5}, {name: details, weight: x}]}]`, 10, 50},
		"beside weight 0 it is alone": {`[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}, {name: details, weight: 0}]}]`, 10, 0},
		"no whole percentage":         {`[{backendRefs: [{name: reviews-stable, weight: 2}, {name: reviews-canary, weight: 1}, {name: details, weight: 50}]}]`, plan.MixedWeight, 3},
		"totals of several rules": {`
- backendRefs: [{name: reviews-stable, weight: 45}, {name: reviews-canary, weight: 5}, {name: details, weight: 50}]
- backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]
- backendRefs: [{name: reviews-stable, weight: 18}, {name: reviews-canary, weight: 2}, {name: details, weight: 1}]`, 10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			want := Reading{Generation: 4, Weight: tc.weight, Headers: plan.HeadersNone, Total: tc.total}
			if diff := cmp.Diff(want, Read(routeOf(t, tc.rules), reviews, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWeights checks how weights that somebody else wrote are shown in messages.
func TestWeights(t *testing.T) {
	for rules, want := range map[string]string{
		`[{backendRefs: [{name: reviews-canary}, {name: reviews-stable, weight: 9}]}]`: "reviews-stable 9 and reviews-canary 1",
		`[{backendRefs: [{name: reviews-stable, weight: x}, {name: reviews-canary}]}]`: "reviews-stable ? and reviews-canary 1",
		`[{backendRefs: [{name: reviews-stable}]}, {backendRefs: [{name: reviews-stable}, {name: reviews-canary, weight: 0}]},
		  {backendRefs: [{name: reviews-stable}, {name: reviews-canary}]}]`: "reviews-stable 1 and reviews-canary 0, reviews-stable 1 and reviews-canary 1",
		`[]`: "",
	} {
		if diff := cmp.Diff(want, Weights(routeOf(t, rules), reviews)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rules, diff)
		}
	}
}

func TestPatchWeights(t *testing.T) {
	for name, tc := range map[string]struct {
		rules, want string
		weight      int32
	}{
		"the route of the bookinfo sample, one to one by default": {
			`[{backendRefs: [{name: reviews-stable, port: 80}, {name: reviews-canary, port: 80}]}]`,
			`[{backendRefs: [{name: reviews-stable, port: 80, weight: 100}, {name: reviews-canary, port: 80, weight: 0}]}]`, 0,
		},
		"a default that is right stays absent": {
			`[{backendRefs: [{name: reviews-stable, weight: 7}, {name: reviews-canary}]}]`,
			`[{backendRefs: [{name: reviews-stable, weight: 99}, {name: reviews-canary}]}]`, 1,
		},
		// plugin#203, plugin#145: weights of other backends were lost, and the backends with them.
		"the share of others is theirs": {
			`[{backendRefs: [{name: details, weight: 150}, {name: reviews-stable, weight: 50}, {name: x, kind: Backend, group: example.com}, {name: reviews-canary, weight: 0}]}]`,
			`[{backendRefs: [{name: details, weight: 150}, {name: reviews-stable, weight: 40}, {name: x, kind: Backend, group: example.com}, {name: reviews-canary, weight: 10}]}]`, 20,
		},
		"two rollouts in one rule": {
			`[{backendRefs: [{name: reviews-stable, weight: 50}, {name: reviews-canary, weight: 0}, {name: ratings-stable, weight: 30}, {name: ratings-canary, weight: 20}]}]`,
			`[{backendRefs: [{name: reviews-stable, weight: 25}, {name: reviews-canary, weight: 25}, {name: ratings-stable, weight: 30}, {name: ratings-canary, weight: 20}]}]`, 50,
		},
		"never all zero": {
			`[{backendRefs: [{name: reviews-stable, weight: 0}, {name: reviews-canary, weight: 0}]}]`,
			`[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}]`, 0,
		},
		"unreadable weights are fixed": {
			`[{backendRefs: [{name: reviews-stable, weight: {a: b}}, {name: reviews-canary, weight: null}]}]`,
			`[{backendRefs: [{name: reviews-stable, weight: 70}, {name: reviews-canary, weight: 30}]}]`, 30,
		},
		// plugin#158, plugin#115: setWeight wrote 0 into the header rule, whose requests then got a 504.
		"header rules keep their weight": {
			`[{name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 997}]},
			  {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}]`,
			`[{name: canaryrollout-reviews-qa-0, matches: [{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: role, value: qa}]}], backendRefs: [{name: reviews-canary, weight: 997}]},
			  {matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}]`, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			target := plan.Traffic{Weight: tc.weight}
			if len(routeOf(t, tc.rules).Object["spec"].(map[string]any)["rules"].([]any)) > 1 {
				target.HeaderRoutes = qa
			}
			got := applied(t, routeOf(t, tc.rules), reviews, target)
			if diff := cmp.Diff(encode(t, routeOf(t, tc.want)), encode(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if weight := Read(got, reviews, nil).Weight; weight != tc.weight {
				t.Errorf("reads %d, want %d", weight, tc.weight)
			}
		})
	}
}

func TestWeightsThatDoNotDivide(t *testing.T) {
	obj := routeOf(t, `[{backendRefs: [{name: reviews-stable, weight: 10}, {name: reviews-canary, weight: 0}, {name: details, weight: 90}]}]`)
	_, err := Patch(obj, reviews, plan.Traffic{Weight: 5})
	wantProblem(t, problemOf(t, err), v1alpha1.ReasonWeightNotRepresentable,
		"HTTPRoute bookinfo spec.rules[0] gives reviews-stable and reviews-canary a total weight of 10, of which 5 percent is not a whole number: multiply all weights of that rule by 10")
	if got := Read(applied(t, obj, reviews, plan.Traffic{Weight: 20}), reviews, nil).Weight; got != 20 {
		t.Errorf("got %d, want 20", got)
	}
}

func TestWeightsOutOfRangeAreNotWritten(t *testing.T) {
	for _, weight := range []int32{-1, 101} {
		if patch, err := Patch(routeOf(t, atRest), reviews, plan.Traffic{Weight: weight}); err == nil || patch != nil {
			t.Errorf("weight %d gives %s", weight, patch)
		}
	}
}
