// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// FuzzCodec feeds arbitrary JSON as rules and as parents.
func FuzzCodec(f *testing.F) {
	for _, rules := range []string{
		`[{"backendRefs":[{"name":"reviews-stable"},{"name":"reviews-canary","weight":0}]}]`,
		`[{"name":"canaryrollout-reviews-qa-0","backendRefs":[{"name":"reviews-canary","weight":997}]},{"matches":[{"headers":[{"name":"role","value":"x"}]},{}],"backendRefs":[{"name":"reviews-stable","weight":5},{"name":"reviews-canary","weight":95},{"name":"x"}]}]`,
		`[{"backendRefs":[{"name":"reviews-stable","weight":1e300},{"name":"reviews-canary","weight":-9223372036854775808}]},null,7,"x",[]]`,
		`"rules"`, `{}`, `null`,
	} {
		f.Add([]byte(rules), []byte(`[{"parentRef":{"name":"a"},"conditions":[{"type":"Accepted","status":"True","observedGeneration":4,"lastTransitionTime":"x"}]}]`), uint8(10), uint8(3))
	}
	f.Fuzz(func(t *testing.T, rules, parents []byte, weight uint8, headers uint8) {
		var rulesValue, parentsValue any
		if utiljson.Unmarshal(rules, &rulesValue) != nil || utiljson.Unmarshal(parents, &parentsValue) != nil {
			t.Skip("no JSON")
		}
		checkCodec(t, liveRoute(rulesValue, parentsValue), someTarget(weight, headers))
	})
}

// FuzzRules feeds almost valid routes, assembled from typical parts of rules.
func FuzzRules(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed, uint8(seed%101), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, weight uint8, headers uint8) {
		random := rand.New(rand.NewPCG(seed, 1))
		rules := []any{}
		for range random.IntN(8) {
			rules = append(rules, someRule(random))
		}
		checkCodec(t, liveRoute(rules, nil), someTarget(weight, headers))
	})
}

func liveRoute(rules, parents any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"kind":     "HTTPRoute",
		"metadata": map[string]any{"name": "bookinfo", "namespace": "bookinfo", "uid": "u", "generation": int64(4)},
		"spec":     map[string]any{"rules": rules, "parentRefs": []any{map[string]any{"name": "a"}}, "other": []any{1.5, "<"}},
		"status":   map[string]any{"parents": parents},
	}}
}

// someTarget uses the upper bits of bits for a mirror.
func someTarget(weight, bits uint8) plan.Traffic {
	return plan.Traffic{Weight: int32(weight % 101), Mirror: int32(bits>>5) * 14, HeaderRoutes: someHeaderRoutes(bits)}
}

// someHeaderRoutes returns the header routes whose bit is set.
func someHeaderRoutes(bits uint8) []v1alpha1.SetHeaderRoute {
	var chosen []v1alpha1.SetHeaderRoute
	for i, headerRoute := range []v1alpha1.SetHeaderRoute{
		headerRoute("qa", header("role", "qa")), headerRoute("qa-0", header("Role", "dev"), query("1")),
		headerRoute("none"), headerRoute("put", method("PUT")), headerRoute("re", rolePattern("q.*")),
	} {
		if bits&(1<<i) != 0 {
			chosen = append(chosen, headerRoute)
		}
	}
	return chosen
}

func someRule(random *rand.Rand) any {
	pick := func(values ...any) any { return values[random.IntN(len(values))] }
	weight := func(ref map[string]any) map[string]any {
		if value := pick(nil, int64(0), int64(1), int64(10), int64(50), int64(90), int64(100), 100.0, marker, "x"); value != nil {
			ref["weight"] = value
		}
		return ref
	}
	refs := []any{}
	for i, name := range []string{"reviews-stable", "reviews-canary", "details"} {
		if random.IntN(100) < []int{80, 90, 25}[i] {
			ref := weight(map[string]any{"name": name})
			if random.IntN(20) == 0 {
				ref[pick("namespace", "kind", "group").(string)] = pick("bookinfo", "Service", "", "other", nil, 7.0)
			}
			refs = append(refs, ref)
		}
	}
	random.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	rule := map[string]any{"backendRefs": refs, "timeouts": map[string]any{"request": pick("1s", "2s")}}
	if name := pick(nil, nil, nil, "main", "canaryrollout-reviews-qa-0", "canaryrollout-reviews-qa-1", "canaryrollout-reviews-qa-0-0.1", "canaryrollout-x-y-0"); name != nil {
		rule["name"] = name
	}
	if matches := pick(nil, []any{}, []any{map[string]any{"method": "PUT"}}, []any{map[string]any{"path": map[string]any{"value": "/a"}},
		map[string]any{"headers": []any{map[string]any{"name": "ROLE", "value": "qa"}}}}); matches != nil {
		rule["matches"] = matches
	}
	if filters := someFilters(random); len(filters) > 0 {
		rule["filters"] = filters
	}
	return rule
}

// someFilters returns a random mix of filters: a user's, ours, and almost ours.
func someFilters(random *rand.Rand) []any {
	copies := func(name string, numerator, denominator int64) any {
		return map[string]any{"type": "RequestMirror", "requestMirror": map[string]any{
			"backendRef": map[string]any{"name": name}, "fraction": map[string]any{"numerator": numerator, "denominator": denominator},
		}}
	}
	var filters []any
	for _, filter := range []any{
		map[string]any{"urlRewrite": map[string]any{"path": map[string]any{"type": "ReplacePrefixMatch"}}},
		copies("reviews-canary", 9970, 99700), copies("reviews-canary", 1, 10), copies("details", 9970, 99700), "x",
	} {
		if random.IntN(8) == 0 {
			filters = append(filters, filter)
		}
	}
	return filters
}

// checkCodec checks for every object that nothing panics, that the input does not change, and that what Patch writes
// is what Read then finds, is all that is written, and can be reverted.
func checkCodec(t *testing.T, obj *unstructured.Unstructured, target plan.Traffic) {
	t.Helper()
	original, before := encode(t, obj), Read(obj, reviews, target.HeaderRoutes)
	Accepted(obj, nil)
	if patch, err := Patch(obj, reviews, target); err != nil {
		checkRefusal(t, before, target, patch, err)
		return
	}
	after := applied(t, obj, reviews, target)
	if encode(t, obj) != original {
		t.Fatal("the input has changed")
	}
	reading := Read(after, reviews, target.HeaderRoutes)
	if reading.Weight != target.Weight || reading.Mirror != target.Mirror || reading.Problem != nil || reading.OtherUses == "" && before.OtherUses != "" {
		t.Fatalf("reads %+v, want weight %d and mirror %d", reading, target.Weight, target.Mirror)
	}
	checkHeaders(t, after, target, reading.Headers)
	if diff := cmp.Diff(usersPart(t, obj), usersPart(t, after)); diff != "" {
		t.Fatalf("the user's part has changed (-before +after):\n%s", diff)
	}
	if before.Headers == plan.HeadersNone && before.Mirror == 0 && before.Weight != plan.MixedWeight {
		restored := applied(t, after, reviews, plan.Traffic{Weight: before.Weight})
		if diff := cmp.Diff(defaulted(t, obj), defaulted(t, restored)); diff != "" {
			t.Fatalf("there and back (-before +after):\n%s", diff)
		}
	}
}

// checkRefusal expects that Read reports the same problem, except for a weight too coarse for this target.
func checkRefusal(t *testing.T, before Reading, target plan.Traffic, patch []byte, err error) {
	t.Helper()
	if patch != nil {
		t.Fatalf("both a patch and %v", err)
	}
	problem := problemOf(t, err)
	if target.Mirror > 0 && before.Problem == nil && cmp.Equal(before.MirrorProblem, problem) {
		return
	}
	tooCoarse := before.Problem == nil && problem.Reason == v1alpha1.ReasonWeightNotRepresentable && int64(before.Total)*int64(target.Weight)%100 != 0
	if diff := cmp.Diff(before.Problem, problem); diff != "" && !tooCoarse {
		t.Fatalf("Patch has another problem (-Read +Patch):\n%s", diff)
	}
}

// checkHeaders expects the state that the target leads to, also if the CRD drops the names of our rules.
func checkHeaders(t *testing.T, after *unstructured.Unstructured, target plan.Traffic, state plan.HeaderState) {
	t.Helper()
	rendered := layoutOf(after, reviews).own
	want := plan.HeadersNone
	if len(rendered) > 0 {
		want = plan.HeadersCurrent
	}
	if state != want {
		t.Fatalf("headers are %s, want %s", state, want)
	}
	pruned := after.DeepCopy()
	for i := range rendered {
		delete(list(pruned.Object, "spec", "rules")[i].(map[string]any), "name")
	}
	if patch, err := Patch(pruned, reviews, target); patch != nil || err != nil {
		t.Fatalf("without rule names, got %s, %v", patch, err)
	}
}

// defaulted returns the route with the pair's weights spelled out, as the API server stores it.
func defaulted(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	spelledOut := obj.DeepCopy()
	for _, s := range layoutOf(spelledOut, reviews).sources {
		for _, ref := range []map[string]any{s.stable.ref, s.canary.ref} {
			if ref["weight"] == nil {
				ref["weight"] = int64(1)
			}
		}
		if filters, isList := s.rule["filters"].([]any); isList && len(filters) == 0 {
			delete(s.rule, "filters")
		}
	}
	return encode(t, spelledOut)
}

// usersPart returns the route without our rules, and without the pair's weights in managed rules.
func usersPart(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	rest := obj.DeepCopy()
	l := layoutOf(rest, reviews)
	for _, s := range l.sources {
		delete(s.stable.ref, "weight")
		delete(s.canary.ref, "weight")
		if users := reviews.withoutMirror(list(s.rule, "filters")); len(users) > 0 {
			s.rule["filters"] = users
		} else if list(s.rule, "filters") != nil {
			delete(s.rule, "filters") // an empty list means the same as none
		}
	}
	var users []any
	for i, rule := range l.rules {
		if !l.own.Has(i) {
			users = append(users, rule)
		}
	}
	if err := unstructured.SetNestedField(rest.Object, users, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	return encode(t, rest)
}
