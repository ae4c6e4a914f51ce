// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// leaf is a scalar of an object.
type leaf struct {
	node *yaml.Node
	path string
}

// leavesOf lists the scalars below a node, with paths in the form of a report.
func leavesOf(node *yaml.Node, path string) (leaves []leaf) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			leaves = append(leaves, leavesOf(node.Content[i+1], join(path, node.Content[i].Value))...)
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			leaves = append(leaves, leavesOf(item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	default:
		leaves = append(leaves, leaf{node, path})
	}
	return leaves
}

// isReported reports whether an entry covers a field of an object.
func isReported(report []Entry, file, path string) bool {
	return slices.ContainsFunc(report, func(entry Entry) bool {
		rest, isBelow := strings.CutPrefix(path, entry.Path)
		return entry.File == file && isBelow && (entry.Path == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// withoutEffect are fields that say nothing: the kind of the same reference decides.
var withoutEffect = []string{"spec.workloadRef.apiVersion", "spec.targetRef.apiVersion"}

// TestNothingIsLostInSilence changes each value of each manifest to another one. The result must then be different, or the report
// must have an entry for the field.
func TestNothingIsLostInSilence(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			objects := objectsOf(t, content)
			before, report := convertAll(t, objects)
			for i, object := range objects {
				file := fmt.Sprint(i)
				for _, leaf := range leavesOf(object, "") {
					if isNull(leaf.node) || isReported(report, file, leaf.path) || slices.Contains(withoutEffect, leaf.path) {
						continue
					}
					original := *leaf.node
					*leaf.node = different(original)
					after, entries := convertAll(t, objects)
					if after == before && !isReported(entries, file, leaf.path) {
						t.Errorf("object %d: %s has no effect, and is not reported", i+1, leaf.path)
					}
					*leaf.node = original
				}
			}
		})
	}
}

// TestSilentLossIsFound checks the test above: a table that forgets a field must be found.
func TestSilentLossIsFound(t *testing.T) {
	const forgotten = "minReadySeconds"
	carry := argoSpec.carried[forgotten]
	argoSpec.carried[forgotten] = (*rollout).read
	defer func() { argoSpec.carried[forgotten] = carry }()
	objects := objectsOf(t, cases(t)["argo-everything"])
	before, report := convertAll(t, objects)
	set(get(objects[0], "spec"), forgotten, 51)
	if after, _ := convertAll(t, objects); after != before || isReported(report, "0", "spec."+forgotten) {
		t.Error("a field that is read and not carried over makes no difference for the test")
	}
}

// TestDamagedManifests puts something odd in the place of each value, one after the other. Nothing may panic.
func TestDamagedManifests(t *testing.T) {
	odd := []yaml.Node{
		{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, {Kind: yaml.MappingNode, Tag: "!!map"}, {Kind: yaml.SequenceNode, Tag: "!!seq"},
		*scalar("x"), *scalar(-1), *sequence(scalar(1), mapping("name", "a")), *mapping("name", mapping("a", "b")),
	}
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			objects := objectsOf(t, content)
			next := 0
			var damage func(node *yaml.Node)
			damage = func(node *yaml.Node) {
				original := *node
				*node = odd[next%len(odd)]
				next++
				convertAll(t, objects)
				*node = original
				for i, child := range node.Content {
					if node.Kind == yaml.SequenceNode || i%2 == 1 {
						damage(child)
					}
				}
			}
			for _, object := range objects {
				for i := 1; i < len(object.Content); i += 2 {
					damage(object.Content[i])
				}
			}
		})
	}
}

// FuzzConvert checks that no file causes a panic.
func FuzzConvert(f *testing.F) {
	for _, seed := range []string{
		"", "---\n---", "a", "[]", "{}", "kind: List\nitems: [1, {}]", "a: &a [*a]", "a: &a {<<: *a}", "a: 1\na: 2",
		"apiVersion: argoproj.io/v1alpha1\nkind: Rollout", "apiVersion: flagger.app/v1beta1\nkind: Canary\nspec: []",
	} {
		f.Add([]byte(seed))
	}
	for _, content := range cases(f) {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		converted(t, content)
	})
}

// different returns another value of the same type.
func different(node yaml.Node) yaml.Node {
	switch node.Tag {
	case "!!bool":
		node.Value = map[string]string{"true": "false", "false": "true"}[node.Value]
	case "!!int":
		node.Value += "1"
	default:
		node.Value += "x"
	}
	return node
}

// objectsOf returns the objects of a file, also those of lists.
func objectsOf(t *testing.T, content []byte) (objects []*yaml.Node) {
	t.Helper()
	for _, o := range parse([]lint.Source{{Name: "in.yaml", Content: content}}, &report{}) {
		objects = append(objects, o.root)
	}
	if len(objects) == 0 {
		t.Fatal("no objects")
	}
	return objects
}

// convertAll converts objects, each as a file of its own, whose name is its index.
func convertAll(t *testing.T, objects []*yaml.Node) (string, []Entry) {
	t.Helper()
	var sources []lint.Source
	for i, object := range objects {
		content, err := encode(object)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, lint.Source{Name: fmt.Sprint(i), Content: content})
	}
	result := Convert(sources, Options{})
	var text strings.Builder
	for _, object := range result.Objects {
		content, err := object.YAML()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	return text.String(), result.Report
}
