// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // The one that the API server applies patches with.
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// reviews is the pair used by most tests.
var reviews = Pair{Rollout: "reviews", Namespace: "bookinfo", Stable: "reviews-stable", Canary: "reviews-canary"}

// routeOf returns a live route with these rules, given as YAML.
func routeOf(t *testing.T, rules string) *unstructured.Unstructured {
	t.Helper()
	obj := decode(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: bookinfo
  namespace: bookinfo
  uid: 7e0c2b0e-9c57-4a4c-a5a4-4f7d7c3f3a01
  generation: 4
spec:
  parentRefs: [{name: http-gateway}]
  fieldOfNextYear: {kept: [1, 2.5, "<&>", null]}
`)
	var items []any
	if err := yaml.Unmarshal([]byte(rules), &items); err != nil {
		t.Fatal(err)
	}
	bytes, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	list := decode(t, `{"kind": "List", "rules": `+string(bytes)+`}`)
	if err := unstructured.SetNestedField(obj.Object, list.Object["rules"], "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	return obj
}

// decode reads YAML as the API machinery reads JSON: whole numbers become int64.
func decode(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	bytes, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(bytes); err != nil {
		t.Fatal(err)
	}
	return obj
}

func encode(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	bytes, err := json.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes)
}

// applied returns the route after Patch, as the API server would store it. It also checks that Patch does not change
// its input, and that a second Patch is empty.
func applied(t *testing.T, obj *unstructured.Unstructured, pair Pair, target plan.Traffic) *unstructured.Unstructured {
	t.Helper()
	before := encode(t, obj)
	patch, err := Patch(obj, pair, target)
	if err != nil {
		t.Fatalf("Patch: %v", err)
	}
	if after := encode(t, obj); after != before {
		t.Fatalf("Patch has changed its input (-before +after):\n%s", cmp.Diff(before, after))
	}
	result := apply(t, obj, patch)
	if patch, err := Patch(result, pair, target); patch != nil || err != nil {
		t.Fatalf("a second Patch is not empty: %s, %v", patch, err)
	}
	return result
}

// apply applies a patch; nil changes nothing.
func apply(t *testing.T, obj *unstructured.Unstructured, patch []byte) *unstructured.Unstructured {
	t.Helper()
	if patch == nil {
		return obj.DeepCopy()
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("%v: %s", err, patch)
	}
	bytes, err := operations.Apply([]byte(encode(t, obj)))
	if err != nil {
		t.Fatalf("%v: %s", err, patch)
	}
	result := &unstructured.Unstructured{}
	if err := result.UnmarshalJSON(bytes); err != nil {
		t.Fatal(err)
	}
	return result
}

// problemOf returns the Problem in an error.
func problemOf(t *testing.T, err error) *Problem {
	t.Helper()
	var problem *Problem
	if err != nil && !errors.As(err, &problem) {
		t.Fatalf("%v is not a Problem", err)
	}
	return problem
}

// wantProblem checks the reason and a part of the message.
func wantProblem(t *testing.T, got *Problem, reason, message string) {
	t.Helper()
	if got == nil {
		t.Fatalf("no problem, want %s", reason)
	}
	if got.Reason != reason || !strings.Contains(got.Message, message) {
		t.Fatalf("got %s, want %s with %q", got.Error(), reason, message)
	}
}

func headerRoute(name string, matches ...v1alpha1.RequestMatch) v1alpha1.SetHeaderRoute {
	return v1alpha1.SetHeaderRoute{Name: name, Matches: matches}
}

// header returns an exact match of one header, the type that the API server defaults.
func header(name, value string) v1alpha1.RequestMatch {
	return v1alpha1.RequestMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: gatewayv1.HTTPHeaderName(name), Value: value}}}
}

// rolePattern returns a match of the header role by a regular expression.
func rolePattern(value string) v1alpha1.RequestMatch {
	match := header("role", value)
	match.Headers[0].Type = new(gatewayv1.HeaderMatchRegularExpression)
	return match
}

// query returns a match of the query parameter qa.
func query(value string) v1alpha1.RequestMatch {
	return v1alpha1.RequestMatch{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "qa", Value: value}}}
}

func method(name string) v1alpha1.RequestMatch {
	return v1alpha1.RequestMatch{Method: new(gatewayv1.HTTPMethod(name))}
}

// qa are the header routes used by most tests.
var qa = []v1alpha1.SetHeaderRoute{headerRoute("qa", header("role", "qa"))}

// atRest is the simplest route: one rule with the pair.
const atRest = `
- matches: [{path: {type: PathPrefix, value: /}}]
  backendRefs:
  - {group: "", kind: Service, name: reviews-stable, port: 9080, weight: 100}
  - {group: "", kind: Service, name: reviews-canary, port: 9080, weight: 0}
`

// onNamedRules returns header routes that may copy rules with a name.
func onNamedRules(headerRoutes ...v1alpha1.SetHeaderRoute) []v1alpha1.SetHeaderRoute {
	allowed := slices.Clone(headerRoutes)
	for i := range allowed {
		allowed[i].AllowNamedRules = true
	}
	return allowed
}
