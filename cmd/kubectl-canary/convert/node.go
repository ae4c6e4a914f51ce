// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// get returns the value at a path of mappings, or nil.
func get(node *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		var next *yaml.Node
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				next = node.Content[i+1]
			}
		}
		node = next
	}
	return node
}

// text returns the value of a scalar, or nothing.
func text(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode || isNull(node) {
		return ""
	}
	return node.Value
}

// number returns a whole number.
func number(node *yaml.Node) (int, bool) {
	value, err := strconv.Atoi(text(node))
	return value, err == nil
}

// isTrue reports whether a node is a bool, in any spelling of YAML, and true.
func isTrue(node *yaml.Node) (value bool) {
	return node != nil && node.Decode(&value) == nil && value
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// items returns the items of a sequence, or nothing.
func items(node *yaml.Node) []*yaml.Node {
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}

// scalar returns the node of a string, a number or a bool.
func scalar(value any) *yaml.Node {
	node := &yaml.Node{}
	if err := node.Encode(value); err != nil { // such values can always be encoded
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	return node
}

// nameNode returns the node of a field's name.
func nameNode(name string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}
}

// mapping returns a mapping of names and values in the given order. A value is a node, or what scalar takes. A nil node is left
// out.
func mapping(pairs ...any) *yaml.Node {
	result := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		set(result, name, pairs[i+1])
	}
	return result
}

// sequence returns a list.
func sequence(nodes ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: nodes}
}

// set sets a field of a mapping, and keeps the comments of one that exists.
func set(node *yaml.Node, name string, value any) {
	fresh, isNode := value.(*yaml.Node)
	switch {
	case !isNode:
		fresh = scalar(value)
	case fresh == nil:
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if old := node.Content[i+1]; node.Content[i].Value == name {
			if fresh.LineComment == "" {
				fresh.LineComment = old.LineComment
			}
			node.Content[i+1] = fresh
			return
		}
	}
	node.Content = append(node.Content, nameNode(name), fresh)
}

// remove removes a field of a mapping.
func remove(node *yaml.Node, name string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			node.Content = append(node.Content[:i:i], node.Content[i+2:]...)
			return
		}
	}
}

// mapped returns a copy in which a function has changed each string. Keys and comments stay.
func mapped(node *yaml.Node, change func(string) string) *yaml.Node {
	result := *node
	result.Content = nil
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			result.Content = append(result.Content, child)
			continue
		}
		result.Content = append(result.Content, mapped(child, change))
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
		if result.Value = change(node.Value); result.Value != node.Value && !strings.Contains(result.Value, "\n") {
			result = *scalar(result.Value)
			result.HeadComment, result.LineComment, result.FootComment = node.HeadComment, node.LineComment, node.FootComment
		}
	}
	return &result
}
