// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func TestPairProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		rules, reason, message string
	}{
		"no rules":                {`[]`, v1alpha1.ReasonBackendPairNotFound, "no rule of HTTPRoute bookinfo names both Services: put backendRefs to reviews-stable and to reviews-canary"},
		"only the stable Service": {`[{backendRefs: [{name: reviews-stable}]}]`, v1alpha1.ReasonBackendPairNotFound, "same rule"},
		"each in its own rule":    {`[{backendRefs: [{name: reviews-stable}]}, {backendRefs: [{name: reviews-canary}]}]`, v1alpha1.ReasonBackendPairNotFound, "same rule"},
		"another group":           {`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary, group: example.com}]}]`, v1alpha1.ReasonBackendPairNotFound, ""},
		"another kind":            {`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary, kind: ServiceImport}]}]`, v1alpha1.ReasonBackendPairNotFound, ""},
		"stable at two ports": {
			`[{backendRefs: [{name: reviews-stable, port: 80}, {name: reviews-stable, port: 81}, {name: reviews-canary}]}]`,
			v1alpha1.ReasonBackendPairAmbiguous, "spec.rules[0] names reviews-stable 2 times and reviews-canary 1 times: name each once",
		},
		"an ambiguous rule beside a good one": {
			`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary}]}, {backendRefs: [{name: reviews-stable}, {name: reviews-canary}, {name: reviews-canary}]}]`,
			v1alpha1.ReasonBackendPairAmbiguous, "spec.rules[1]",
		},
		"canary in another namespace": {
			`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary, namespace: staging}]}]`,
			v1alpha1.ReasonBackendPairCrossNamespace, "must be in namespace bookinfo",
		},
		"stable in another namespace beside a good rule": {
			`[{backendRefs: [{name: reviews-stable}, {name: reviews-canary}]}, {backendRefs: [{name: reviews-stable, namespace: staging}, {name: reviews-canary}]}]`,
			v1alpha1.ReasonBackendPairCrossNamespace, "spec.rules[1]",
		},
		"both in another namespace": {
			`[{backendRefs: [{name: reviews-stable, namespace: staging}, {name: reviews-canary, namespace: staging}]}]`,
			v1alpha1.ReasonBackendPairCrossNamespace, "spec.rules[0]",
		},
		"rules of a wrong type":       {`[text, 7, null, {backendRefs: text}, {backendRefs: [7, null, {name: 7}]}]`, v1alpha1.ReasonBackendPairNotFound, ""},
		"no weight beside other ones": {`[{backendRefs: [{name: reviews-stable, weight: 0}, {name: reviews-canary, weight: 0}, {name: details}]}]`, v1alpha1.ReasonWeightNotRepresentable, "set the weight of reviews-stable"},
		"unreadable beside other ones": {
			`[{backendRefs: [{name: reviews-stable, weight: much}, {name: reviews-canary, weight: 0}, {name: details}]}]`,
			v1alpha1.ReasonWeightNotRepresentable, "nothing to split",
		},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, tc.rules)
			got := Read(obj, reviews, nil)
			wantProblem(t, got.Problem, tc.reason, tc.message)
			if got.Weight != plan.MixedWeight || got.Generation != 4 || got.Problem.HeadersOnly {
				t.Errorf("got %+v", got)
			}
			patch, err := Patch(obj, reviews, plan.Traffic{Weight: 10})
			if diff := cmp.Diff(got.Problem, problemOf(t, err)); diff != "" || patch != nil {
				t.Errorf("Patch returns %s and another problem (-Read +Patch):\n%s", patch, diff)
			}
		})
	}
}

// The plugin of Argo Rollouts finds the pair by name only.
func TestPairIsFoundByGroupKindNamespaceAndName(t *testing.T) {
	for name, rules := range map[string]string{
		"short":         `[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}]`,
		"spelled out":   `[{backendRefs: [{group: "", kind: Service, namespace: bookinfo, name: reviews-canary, port: 80, weight: 10}, {name: reviews-stable, weight: 90}]}]`,
		"group by name": `[{backendRefs: [{group: core, namespace: bookinfo, name: reviews-canary, weight: 10}, {group: core, kind: Service, name: reviews-stable, weight: 90}]}]`,
		"nulls":         `[{backendRefs: [{group: null, kind: null, namespace: null, name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]}]`,
		"twins of them": `[{backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}, {name: reviews-canary, kind: Backend, group: example.com, weight: 0}]}]`,
		"a pair of the same names in another namespace": `
- backendRefs: [{name: reviews-stable, namespace: staging}, {name: reviews-canary, namespace: staging}]
- backendRefs: [{name: reviews-stable, weight: 90}, {name: reviews-canary, weight: 10}]`,
	} {
		t.Run(name, func(t *testing.T) {
			want := Reading{Generation: 4, Weight: 10, Headers: plan.HeadersNone}
			if diff := cmp.Diff(want, Read(routeOf(t, rules), reviews, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherUsesAreNamedAndLeftAlone(t *testing.T) {
	obj := routeOf(t, `
- backendRefs: [{name: reviews-canary, weight: 0}]
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]
- backendRefs: [{name: reviews-stable}, {name: details}]
- name: canaryrollout-ratings-qa-0
  backendRefs: [{name: ratings-canary, weight: 997}]
`)
	want := "HTTPRoute bookinfo spec.rules[0] names reviews-canary without reviews-stable; HTTPRoute bookinfo spec.rules[2] names reviews-stable without reviews-canary"
	if diff := cmp.Diff(want, Read(obj, reviews, nil).OtherUses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantRules := routeOf(t, `
- backendRefs: [{name: reviews-canary, weight: 0}]
- backendRefs: [{name: reviews-stable, weight: 80}, {name: reviews-canary, weight: 20}]
- backendRefs: [{name: reviews-stable}, {name: details}]
- name: canaryrollout-ratings-qa-0
  backendRefs: [{name: ratings-canary, weight: 997}]
`)
	if diff := cmp.Diff(wantRules.Object, applied(t, obj, reviews, plan.Traffic{Weight: 20}).Object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
