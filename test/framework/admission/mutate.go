// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

//go:embed template.yaml
var templateFile []byte

// values replace each value of a template in turn: they are valid in some places and invalid in others.
var values = []any{nil, "", "a", "100m", "Never", int64(0), int64(-1), int64(70000), 0.5, true, map[string]any{}, []any{}}

// Mutants returns pod templates, by name, each of which differs from a rich and valid one in one place.
func Mutants() (map[string]map[string]any, error) {
	original := map[string]any{}
	if err := yaml.Unmarshal(templateFile, &original); err != nil {
		return nil, err
	}
	m := mutator{root: normalize(original).(map[string]any), mutants: map[string]map[string]any{}}
	m.add("as it is")
	m.walkMap("", m.root)
	return m.mutants, nil
}

// normalize makes whole numbers int64, as those in an unstructured object are.
func normalize(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		for key, field := range typed {
			typed[key] = normalize(field)
		}
	case []any:
		for i := range typed {
			typed[i] = normalize(typed[i])
		}
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	}
	return value
}

// mutator changes root in place, keeps a copy, and reverts the change.
type mutator struct {
	root    map[string]any
	mutants map[string]map[string]any
}

func (m *mutator) add(name string) { m.mutants[name] = runtime.DeepCopyJSON(m.root) }

func (m *mutator) walkMap(path string, node map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(node)) {
		was := node[key]
		delete(node, key)
		m.add(path + "." + key + " absent")
		m.replace(path+"."+key, func(value any) { node[key] = value })
		node[key] = was
		m.walk(path+"."+key, was, func(value any) { node[key] = value })
	}
	node["unknownField"] = "a"
	m.add(path + " with an unknown field")
	delete(node, "unknownField")
}

func (m *mutator) walk(path string, node any, set func(any)) {
	switch typed := node.(type) {
	case map[string]any:
		m.walkMap(path, typed)
	case []any:
		for i, item := range typed {
			set(append(slices.Clone(typed), runtime.DeepCopyJSONValue(item)))
			m.add(fmt.Sprintf("%s[%d] twice", path, i))
			set(typed)
			m.replace(fmt.Sprintf("%s[%d]", path, i), func(value any) { typed[i] = value })
			typed[i] = item
			m.walk(fmt.Sprintf("%s[%d]", path, i), item, func(value any) { typed[i] = value })
		}
	}
}

func (m *mutator) replace(path string, set func(any)) {
	for _, value := range values {
		set(runtime.DeepCopyJSONValue(value))
		m.add(fmt.Sprintf("%s = %#v", path, value))
	}
}
