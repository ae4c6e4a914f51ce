// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	usersFilter = `{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}`
	usersMirror = `{type: RequestMirror, requestMirror: {backendRef: {group: "", kind: Service, name: reviews-canary, port: 9080}, percent: 10}}`
	pairRefs    = `backendRefs: [{name: reviews-stable, port: 9080, weight: 100}, {name: reviews-canary, port: 9080, weight: 0}]`
)

// oursOf returns our filter, as the API server defaults it.
func oursOf(numerator, port string) string {
	return `{type: RequestMirror, requestMirror: {backendRef: {group: "", kind: Service, name: reviews-canary, port: ` + port +
		`}, fraction: {numerator: ` + numerator + `, denominator: 99700}}}`
}

func filtered(filters ...string) string {
	return `[{` + pairRefs + `, filters: [` + strings.Join(filters, ", ") + `]}]`
}

// TestMirror checks a rule's filters with a mirror: one of ours after the user's, which stay as they are (T5).
func TestMirror(t *testing.T) {
	const plain = `[{` + pairRefs + `}]`
	for name, tc := range map[string]struct {
		rules string
		reads int32
		share int32
		want  string
	}{
		"none, and none wanted":    {plain, 0, 0, plain},
		"put in":                   {plain, 0, 10, filtered(oursOf("9970", "9080"))},
		"all requests":             {plain, 0, 100, filtered(oursOf("99700", "9080"))},
		"behind the user's":        {filtered(usersFilter, usersMirror), 0, 10, filtered(usersFilter, usersMirror, oursOf("9970", "9080"))},
		"another percentage":       {filtered(oursOf("9970", "9080"), usersFilter), 10, 20, filtered(usersFilter, oursOf("19940", "9080"))},
		"as it should be":          {filtered(oursOf("9970", "9080"), usersFilter), 10, 10, filtered(oursOf("9970", "9080"), usersFilter)},
		"taken out":                {filtered(usersFilter, oursOf("9970", "9080")), 10, 0, filtered(usersFilter)},
		"the only one taken out":   {filtered(oursOf("9970", "9080")), 10, 0, plain},
		"twice":                    {filtered(oursOf("9970", "9080"), usersFilter, oursOf("9970", "9080")), plan.MixedWeight, 10, filtered(usersFilter, oursOf("9970", "9080"))},
		"twice, and none wanted":   {filtered(oursOf("9970", "9080"), oursOf("9970", "9080")), plan.MixedWeight, 0, plain},
		"to a port of former days": {filtered(oursOf("9970", "9081")), plan.MixedWeight, 10, filtered(oursOf("9970", "9080"))},
		"the group by its name": {`[{backendRefs: [{group: core, name: reviews-stable, port: 9080, weight: 100}, {group: core, name: reviews-canary, port: 9080, weight: 0}]}]`, 0, 10,
			`[{backendRefs: [{group: core, name: reviews-stable, port: 9080, weight: 100}, {group: core, name: reviews-canary, port: 9080, weight: 0}], filters: [` +
				strings.Replace(oursOf("9970", "9080"), `group: ""`, "group: core", 1) + `]}]`},
		"one rule of two": {`[{` + pairRefs + `}, {` + pairRefs + `, filters: [` + oursOf("9970", "9080") + `]}]`, plan.MixedWeight, 10,
			`[{` + pairRefs + `, filters: [` + oursOf("9970", "9080") + `]}, {` + pairRefs + `, filters: [` + oursOf("9970", "9080") + `]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			obj := routeOf(t, tc.rules)
			if got := Read(obj, reviews, nil).Mirror; got != tc.reads {
				t.Errorf("reads a mirror of %d, want %d", got, tc.reads)
			}
			after := applied(t, obj, reviews, plan.Traffic{Mirror: tc.share})
			if diff := cmp.Diff(routeOf(t, tc.want).Object["spec"], after.Object["spec"]); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMirrorStaysOutOfHeaderRules: requests that already go to the canary are not copied to it.
func TestMirrorStaysOutOfHeaderRules(t *testing.T) {
	for name, tc := range map[string]struct {
		filters []string
		want    []any
	}{
		"with one of the user's": {[]string{usersFilter}, []any{map[string]any{
			"type": "RequestHeaderModifier", "requestHeaderModifier": map[string]any{"set": []any{map[string]any{"name": "x-team", "value": "books"}}},
		}}},
		"alone": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			target := plan.Traffic{Mirror: 10, HeaderRoutes: qa}
			after := applied(t, applied(t, routeOf(t, filtered(tc.filters...)), reviews, plan.Traffic{Mirror: 10}), reviews, target)
			rules := list(after.Object, "spec", "rules")
			if diff := cmp.Diff(tc.want, list(rules[0].(map[string]any), "filters")); diff != "" {
				t.Errorf("filters of the header rule (-want +got):\n%s", diff)
			}
			if got := Read(after, reviews, qa); got.Mirror != 10 || got.Headers != plan.HeadersCurrent {
				t.Errorf("reads %+v", got)
			}
		})
	}
}

// TestMirrorProblems checks what prevents a mirror in a route. None of it blocks weights.
func TestMirrorProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		obj             *unstructured.Unstructured
		reason, message string
	}{
		"connections": {ofKind(t, "TCPRoute", filtered()), v1alpha1.ReasonMirrorNotSupported, "TCPRoute bookinfo carries no requests"},
		"no room": {routeOf(t, filtered(strings.Split(strings.Repeat(usersFilter+";", 15)+usersMirror, ";")...)), v1alpha1.ReasonRouteLimitExceeded,
			"HTTPRoute bookinfo spec.rules[0] has 16 filters"},
		"filters of no sense": {routeOf(t, `[{`+pairRefs+`, filters: x}]`), v1alpha1.ReasonMirrorNotSupported, "spec.rules[0] has filters that cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, Read(tc.obj, reviews, nil).MirrorProblem, tc.reason, tc.message)
			_, err := Patch(tc.obj, reviews, plan.Traffic{Mirror: 10})
			wantProblem(t, problemOf(t, err), tc.reason, tc.message)
			applied(t, tc.obj, reviews, plan.Traffic{Weight: 10})
		})
	}
	if _, err := Patch(routeOf(t, atRest), reviews, plan.Traffic{Mirror: 101}); err == nil {
		t.Error("a mirror of 101 % is not refused")
	}
}
