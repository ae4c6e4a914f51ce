// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// field is a field of an object of the input.
type field struct {
	*object
	key, value *yaml.Node
	path       string
}

// at returns a field of the object; its value is nil if the object does not have it.
func (o *object) at(path ...string) field {
	f := field{object: o, value: o.root}
	for _, name := range path {
		f = f.child(name)
	}
	return f
}

// isSet reports whether the object has the field, and it is not null.
func (f field) isSet() bool { return f.value != nil && !isNull(f.value) }

// child returns a field below; its value is nil if there is none.
func (f field) child(name string) field {
	return field{object: f.object, key: nameNode(name), value: get(f.value, name), path: join(f.path, name)}
}

// children returns the fields of a mapping, without those that are null.
func (f field) children() (children []field) {
	if f.value == nil || f.value.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(f.value.Content); i += 2 {
		key, value := f.value.Content[i], f.value.Content[i+1]
		if !isNull(value) {
			children = append(children, field{f.object, key, value, join(f.path, key.Value)})
		}
	}
	return children
}

// items returns the items of a list.
func (f field) items() (list []field) {
	for i, item := range items(f.value) {
		list = append(list, field{f.object, f.key, item, fmt.Sprintf("%s[%d]", f.path, i)})
	}
	return list
}

func (f field) lost(message, instead string)     { f.lose(f.path, message, instead) }
func (f field) unneeded(message, instead string) { f.note(f.path, message, instead) }
func (f field) failed(message, instead string)   { f.fail(f.path, message, instead) }

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func join(path, name string) string {
	switch {
	case !plainName.MatchString(name):
		return fmt.Sprintf("%s[%q]", path, name)
	case path == "":
		return name
	default:
		return path + "." + name
	}
}

// verdict is what is said about a field that is not carried over.
type verdict struct {
	severity         Severity
	message, instead string
}

func lost(message, instead string) verdict { return verdict{Loss, message, instead} }

func unneeded(message string) verdict { return verdict{Note, message, ""} }

// table says what becomes of each field of a mapping: carried carries it over, and dropped says why it is left out.
type table[T any] struct {
	carried map[string]func(T, field)
	dropped map[string]verdict
}

// limit reports more of something than the API allows.
func (f field) limit(count, most int, what string) {
	if count > most {
		f.failed(fmt.Sprintf("it needs %d %s, and there can be %d", count, what, most), "remove some")
	}
}

// drop reports why a field is left out.
func (f field) drop(v verdict) { f.add(f.entry(v.severity, f.path, v.message, v.instead)) }

// walk visits the fields in their order. What the table does not know is reported: it may be a typo, or newer than this tool.
func (t table[T]) walk(target T, f field) {
	if f.isSet() && f.value.Kind != yaml.MappingNode {
		f.lost("this is not a mapping, so it was not read", "correct it")
		return
	}
	for _, child := range f.children() {
		if carry := t.carried[child.key.Value]; carry != nil {
			carry(target, child)
			continue
		}
		if v, isKnown := t.dropped[child.key.Value]; isKnown {
			child.drop(v)
			continue
		}
		child.lost("this field is unknown here, so it is left out", "check whether it is misspelled, or whether a field of CanaryRollout does the same")
	}
}
