// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// leaf is a scalar of a document.
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

// isReported reports whether an entry covers a field.
func isReported(report []Entry, file string, path string) bool {
	for _, entry := range report {
		rest, isBelow := strings.CutPrefix(path, entry.Path)
		if entry.File == file && isBelow && (entry.Path == "" || rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// withoutEffect are fields that say nothing: the kind in the same reference decides.
var withoutEffect = map[string]bool{"spec.workloadRef.apiVersion": true, "spec.targetRef.apiVersion": true}

// TestNothingIsLostInSilence changes each value of each manifest to another one. The result must then be different, or the report
// must have an entry for the field.
func TestNothingIsLostInSilence(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			// Each document is a file of its own, so that an entry belongs to one object.
			var documents []*yaml.Node
			decoder := yaml.NewDecoder(strings.NewReader(string(content)))
			for {
				var document yaml.Node
				if decoder.Decode(&document) != nil {
					break
				}
				documents = append(documents, resolved(document.Content[0]))
			}
			before, report := convertAll(t, documents)
			for i, document := range documents {
				for _, leaf := range leavesOf(document, "") {
					if isReported(report, fmt.Sprint(i), leaf.path) || withoutEffect[leaf.path] {
						continue
					}
					original := *leaf.node
					*leaf.node = different(original)
					if after, entries := convertAll(t, documents); after == before && !isReported(entries, fmt.Sprint(i), leaf.path) {
						t.Errorf("document %d: %s has no effect, and is not reported", i+1, leaf.path)
					}
					*leaf.node = original
				}
			}
		})
	}
}

// different returns another value of the same type.
func different(node yaml.Node) yaml.Node {
	switch {
	case node.Tag == "!!bool":
		node.Value = map[string]string{"true": "false", "false": "true"}[node.Value]
	case node.Tag == "!!int":
		node.Value += "1"
	default:
		node.Value += "x"
	}
	return node
}

func convertAll(t *testing.T, documents []*yaml.Node) (string, []Entry) {
	t.Helper()
	var sources []lint.Source
	for i, document := range documents {
		content, err := encode(document)
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
