// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// A patch has operations only for what differs, and tests only for what they depend on (T5). The plugin of Argo
// Rollouts updates the whole route in every pass.
func TestPatchIsMinimal(t *testing.T) {
	const guards = `{"op":"test","path":"/metadata/uid","value":"7e0c2b0e-9c57-4a4c-a5a4-4f7d7c3f3a01"},{"op":"test","path":"/metadata/generation","value":4}`
	for name, tc := range map[string]struct {
		rules  string
		target plan.Traffic
		want   string
	}{
		"nothing differs": {atRest, plan.Traffic{}, ``},
		"replaced": {atRest, plan.Traffic{Weight: 10}, `[` + guards +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/0/name","value":"reviews-stable"}` +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/1/name","value":"reviews-canary"}` +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/0/weight","value":100},{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":90}` +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/1/weight","value":0},{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":10}]`},
		"added": {`[{backendRefs: [{name: reviews-canary}, {name: reviews-stable}]}]`, plan.Traffic{Weight: 1}, `[` + guards +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/1/name","value":"reviews-stable"}` +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/0/name","value":"reviews-canary"}` +
			`,{"op":"add","path":"/spec/rules/0/backendRefs/1/weight","value":99}]`},
		"one rule of two": {`
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 1}]`, plan.Traffic{}, `[` + guards +
			`,{"op":"test","path":"/spec/rules/1/backendRefs/0/name","value":"reviews-stable"}` +
			`,{"op":"test","path":"/spec/rules/1/backendRefs/1/name","value":"reviews-canary"}` +
			`,{"op":"test","path":"/spec/rules/1/backendRefs/1/weight","value":1},{"op":"replace","path":"/spec/rules/1/backendRefs/1/weight","value":0}]`},
		"header rule": {`[{backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]}]`, plan.Traffic{HeaderRoutes: qa}, `[` + guards +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/0/name","value":"reviews-stable"}` +
			`,{"op":"test","path":"/spec/rules/0/backendRefs/1/name","value":"reviews-canary"}` +
			`,{"op":"add","path":"/spec/rules/0","value":{"backendRefs":[{"name":"reviews-canary","weight":997}]` +
			`,"matches":[{"headers":[{"name":"role","type":"Exact","value":"qa"}],"path":{"type":"PathPrefix","value":"/"}}],"name":"canaryrollout-reviews-qa-0"}}]`},
		"header rule out": {`
- {name: canaryrollout-reviews-qa-0, backendRefs: [{name: reviews-canary}]}
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]`, plan.Traffic{}, `[` + guards +
			`,{"op":"test","path":"/spec/rules/0","value":{"backendRefs":[{"name":"reviews-canary"}],"name":"canaryrollout-reviews-qa-0"}},{"op":"remove","path":"/spec/rules/0"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Patch(routeOf(t, tc.rules), reviews, tc.target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever has changed since the route was read, the whole patch is rejected (T5).
func TestPatchRefusesAChangedRoute(t *testing.T) {
	read := routeOf(t, `
- {name: canaryrollout-reviews-old-0, backendRefs: [{name: reviews-canary, weight: 997}]}
- backendRefs: [{name: reviews-stable}, {name: reviews-canary, weight: 40}]`)
	patch, err := Patch(read, reviews, plan.Traffic{Weight: 10, HeaderRoutes: qa})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]string{
		"another object":     `[{"op":"replace","path":"/metadata/uid","value":"7e0c2b0e-9c57-4a4c-a5a4-4f7d7c3f3a02"}]`,
		"another generation": `[{"op":"replace","path":"/metadata/generation","value":5}]`,
		"another weight":     `[{"op":"replace","path":"/spec/rules/1/backendRefs/1/weight","value":41}]`,
		"rule inserted":      `[{"op":"add","path":"/spec/rules/0","value":{"backendRefs":[{"name":"details"}]}}]`,
		"rule removed":       `[{"op":"remove","path":"/spec/rules/0"}]`,
		"backend inserted":   `[{"op":"add","path":"/spec/rules/1/backendRefs/0","value":{"name":"details"}}]`,
		"backends swapped":   `[{"op":"move","from":"/spec/rules/1/backendRefs/0","path":"/spec/rules/1/backendRefs/1"}]`,
		"header rule edited": `[{"op":"add","path":"/spec/rules/0/timeouts","value":{"request":"1s"}}]`,
		"rules gone":         `[{"op":"remove","path":"/spec/rules"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			changed := apply(t, read, []byte(change))
			operations, err := jsonpatch.DecodePatch(patch)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := operations.Apply([]byte(encode(t, changed))); err == nil {
				t.Errorf("the patch was applied: %s", got)
			}
		})
	}
}

// Fields unknown to our types stay as they are, also in managed rules. Argo Rollouts writes a VirtualService through
// its own types, and erased matches and retries (argo-rollouts#2767, #2266).
func TestPatchKeepsUnknownFields(t *testing.T) {
	obj := routeOf(t, `
- name: main
  matches: [{path: {type: PathPrefix, value: /}, cookies: [{name: a, weight: 1.5}]}]
  retry: {attempts: 3, codes: [500], unheardOf: {"a/b~c": "<&>"}}
  sessionPersistence: {sessionName: s}
  backendRefs:
  - {name: reviews-stable, port: 80, weight: 100, zone: {a: [null, 1]}}
  - {name: reviews-canary, port: 80, weight: 0, filters: [{type: X, x: {y: 0.1}}]}
`)
	want := encode(t, obj)
	there := applied(t, obj, reviews, plan.Traffic{Weight: 30, HeaderRoutes: onNamedRules(qa...)})
	back := applied(t, there, reviews, plan.Traffic{})
	if diff := cmp.Diff(want, encode(t, back)); diff != "" {
		t.Errorf("there and back (-want +got):\n%s", diff)
	}
}

// Objects that were never live: nothing to patch, and no panic.
func TestEmptyObjects(t *testing.T) {
	for _, obj := range []*unstructured.Unstructured{
		{}, {Object: map[string]any{}}, {Object: map[string]any{"metadata": "text", "spec": []any{}, "status": 7, "kind": 7}},
	} {
		if got := Read(obj, reviews, qa); got.Problem == nil {
			t.Errorf("no problem with %v", obj.Object)
		}
		if patch, err := Patch(obj, reviews, plan.Traffic{}); patch != nil || err == nil {
			t.Errorf("got %s, %v", patch, err)
		}
		if got := Accepted(obj, nil); got.Generation != 0 || got.Unversioned || got.Pending == "" {
			t.Errorf("got %+v", got)
		}
	}
}

// Values that the API server's encoder escapes must be escaped in the tests of a patch, too.
func TestOldRuleIsTestedAsTheServerWritesIt(t *testing.T) {
	obj := routeOf(t, `
- {name: canaryrollout-reviews-qa-0, matches: [{headers: [{name: a, value: "<a&b>\u2028"}]}], backendRefs: [{name: reviews-canary}]}
- backendRefs: [{name: reviews-stable, weight: 100}, {name: reviews-canary, weight: 0}]`)
	got := applied(t, obj, reviews, plan.Traffic{})
	if !json.Valid([]byte(encode(t, got))) || Read(got, reviews, nil).Headers != plan.HeadersNone {
		t.Errorf("the rule is still there: %v", got.Object)
	}
}
