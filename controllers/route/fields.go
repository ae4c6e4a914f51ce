// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// list returns the list at a path, or nil if there is none or something else.
func list(obj map[string]any, path ...string) []any {
	value, _, _ := unstructured.NestedFieldNoCopy(obj, path...)
	items, _ := value.([]any)
	return items
}

// unreadable is what field returns for a value that is not a string: it equals nothing that a caller could look for.
const unreadable = "\x00"

// field returns a string field, or the value that stands for an absent one; null counts as absent.
func field(obj map[string]any, name, absent string) string {
	switch value := obj[name].(type) {
	case nil:
		return absent
	case string:
		return value
	default:
		return unreadable
	}
}

// integer reads a whole number; numbers from the API are int64, those from plain JSON float64.
func integer(value any) (int64, bool) {
	switch number := value.(type) {
	case int64:
		return number, true
	case float64:
		return int64(number), number == math.Trunc(number) && math.Abs(number) <= math.MaxInt32
	default:
		return 0, false
	}
}

// labelOf names a route in messages.
func labelOf(obj *unstructured.Unstructured) string {
	return cmp.Or(obj.GetKind(), "HTTPRoute") + " " + obj.GetName()
}
