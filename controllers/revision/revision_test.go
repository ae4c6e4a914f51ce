// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// object decodes YAML the way the API server's responses are decoded: whole numbers become int64.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	into := &unstructured.Unstructured{}
	if err := into.UnmarshalJSON([]byte(`{"apiVersion":"v1","kind":"Any","object":` + string(data) + `}`)); err != nil {
		t.Fatal(err)
	}
	return into.Object["object"].(map[string]any)
}

const reviews = `
metadata: {labels: {app: reviews}}
spec:
  containers:
  - {name: reviews, image: "example.com/reviews:v1 <&>", ports: [{containerPort: 9080}], unknownField: [1, 1.5, true, null]}
`

// TestHashGolden pins the hash and the names forever: if one of these values changes, every user's pods restart.
func TestHashGolden(t *testing.T) {
	for text, want := range map[string][3]string{
		`{}`:    {"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "4gkp9nrdx4", "vkhzqcb9lx"},
		reviews: {"616caf85846222144a77016f73282e93e4187b140a74b3f88dab5271a33e3aae", "qd8rps5l9v", "nvvp56kgcj"},
	} {
		hash, err := Hash(object(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, [3]string{hash, Name(hash, 0), Name(hash, 1)}); diff != "" {
			t.Errorf("hash and names of %s (-want +got):\n%s", text, diff)
		}
	}
}

// TestStepsHashGolden pins the hash of the steps: if it changes, every release in flight starts over at its first step.
// The stored steps are hashed, so unknown fields count, and how our types encode a duration does not.
func TestStepsHashGolden(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b",
		`{spec: {steps: [{setWeight: 10}, {pause: {duration: 1h30m}}]}}`:                 "f6cfd3bd9e1fbcdfb4ee12ed34aa62a9ce62b92091748ebe4761e9ed45f88bcb",
		`{spec: {steps: [{setWeight: 10}, {pause: {duration: 1h30m, tomorrow: true}}]}}`: "c71162da7bcea96d08ba515cc549455492c3421ee0a4fdef73f45a9213fbb3b9",
	} {
		hash, err := StepsHash(&unstructured.Unstructured{Object: object(t, text)})
		if err != nil || hash != want {
			t.Errorf("hash of %s is %s, want %s (%v)", text, hash, want, err)
		}
	}
}

func TestHashIgnoresOrderOnly(t *testing.T) {
	hash := func(text string) string {
		sum, err := Hash(object(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if hash(`{a: 1, b: {c: 2, d: 3}}`) != hash(`{b: {d: 3, c: 2}, a: 1}`) {
		t.Error("the order of keys must not change the hash")
	}
	for _, other := range []string{`{a: "1", b: {c: 2, d: 3}}`, `{a: 1, b: {c: 2, d: 3}, e: null}`, `{a: 1}`} {
		if hash(`{a: 1, b: {c: 2, d: 3}}`) == hash(other) {
			t.Errorf("%s must have a hash of its own", other)
		}
	}
}

func TestNameIsALabelValue(t *testing.T) {
	for attempt := range 100 {
		name := Name("some hash", attempt)
		if len(name) != nameLength || len(validation.IsDNS1123Label(name)) > 0 || len(validation.IsValidLabelValue(name)) > 0 {
			t.Errorf("Name(%d) = %q", attempt, name)
		}
	}
}

func TestOwnsPod(t *testing.T) {
	long := strings.Repeat("a", 60)
	for _, tc := range []struct {
		replicaSet, pod string
		want            bool
	}{
		{"reviews-bcdf456789", "reviews-bcdf456789-x2x4z", true},
		{"reviews-bcdf456789", "reviews-bcdf456789-x2x4", false},
		{"reviews-bcdf456789", "reviews-bcdf456789-x2x4zz", false},
		{"reviews-bcdf456789", "reviews-bcdf456789", false},
		{"reviews", "reviews-bcdf456789-x2x4z", false},
		{"reviews", "reviews-b-x4z", false},
		{"reviews-bcdf456789", "ratings-bcdf456789-x2x4z", false},
		{long, long[:58] + "x2x4z", true},
		{strings.Repeat("a", 57), strings.Repeat("a", 57) + "-x2x4z", true},
	} {
		if got := OwnsPod(tc.replicaSet, tc.pod); got != tc.want {
			t.Errorf("OwnsPod(%q, %q) = %v", tc.replicaSet, tc.pod, got)
		}
	}
}
