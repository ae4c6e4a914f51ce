// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// FuzzRead checks that no file causes a panic.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "---\n---", "a", "[]", "{}", "kind: List\nitems: [1, {}]", two, "kind: CanaryRollout\napiVersion: canaryrollout.dev/v1alpha1\nspec: 1\nmetadata: []"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		manifests, _ := read(t, Source{"fuzz.yaml", content})
		manifests.Check()
	})
}

// FuzzFields looks for panics on user data: it adds a field or replaces a value at one place in the sample.
func FuzzFields(f *testing.F) {
	places := 0
	for _, source := range sampleFiles(f) {
		places += len(mutations(parsed(f, source.Content), "x", nil))
	}
	pairs := []struct{ key, value string }{
		{"", ""}, {".", "null"}, {"[]", "[]"}, {"[0]", "{}"}, {"a.b", `""`}, {"spec[0].x", "-1"}, {"metadata[0].x", "1e99"},
		{"containers[0][0].x", "[null]"}, {"containers.x.y", "[[1]]"}, {"labels.a[1]", `["", ""]`}, {`x"y`, `[{"": 1}]`},
		{"x", `{"a": null}`}, {"\n", `"\n\u001b"`},
	}
	for place := range places {
		for i := range 3 {
			pair := pairs[(place+i*5)%len(pairs)]
			f.Add(uint16(place), pair.key, pair.value)
		}
	}
	f.Fuzz(func(t *testing.T, place uint16, key, value string) {
		var given any
		if yaml.Unmarshal([]byte(value), &given) != nil {
			t.Skip("the value is no YAML")
		}
		sources, left := sampleFiles(t), int(place)%places
		for i := range sources {
			documents := parsed(t, sources[i].Content)
			all := mutations(documents, key, given)
			if left < len(all) {
				all[left]()
				sources[i].Content = joined(t, documents)
				break
			}
			left -= len(all)
		}
		manifests, found := read(t, sources...)
		lines(append(found, manifests.Check()...))
	})
}

// mutations returns all ways to change one place of a tree.
func mutations(node any, key string, value any) (all []func()) {
	switch node := node.(type) {
	case map[string]any:
		all = append(all, func() { node[key] = value })
		for _, name := range slices.Sorted(maps.Keys(node)) {
			all = append(all, func() { node[name] = value })
			all = append(all, mutations(node[name], key, value)...)
		}
	case []any:
		for i := range node {
			all = append(all, func() { node[i] = value })
			all = append(all, mutations(node[i], key, value)...)
		}
	}
	return all
}

func parsed(tb testing.TB, content []byte) (documents []any) {
	tb.Helper()
	for text := range strings.SplitSeq(string(content), "\n---\n") {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			tb.Fatal(err)
		}
		documents = append(documents, document)
	}
	return documents
}

func joined(tb testing.TB, documents []any) []byte {
	tb.Helper()
	var texts []string
	for _, document := range documents {
		text, err := yaml.Marshal(document)
		if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return []byte(strings.Join(texts, "\n---\n"))
}
