// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jsonpatch builds JSON patches (RFC 6902), and recognizes the error of one whose test failed.
package jsonpatch

import (
	"encoding/json"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Operation is one operation of a patch. A patch is a list of them.
type Operation struct {
	op, path string
	value    any
}

// Test makes the whole patch fail unless the field has this value. A nil value tests that the field is absent.
func Test(path string, value any) Operation { return Operation{"test", path, value} }

// Add sets a field, or inserts an element into a list.
func Add(path string, value any) Operation { return Operation{"add", path, value} }

// Replace sets a field that exists.
func Replace(path string, value any) Operation { return Operation{"replace", path, value} }

// Remove removes a field or an element of a list that exists.
func Remove(path string) Operation { return Operation{"remove", path, nil} }

// MarshalJSON writes a null value, too, unless the operation has none.
func (o Operation) MarshalJSON() ([]byte, error) {
	if o.op == "remove" {
		return json.Marshal(struct {
			Op   string `json:"op"`
			Path string `json:"path"`
		}{o.op, o.path})
	}
	return json.Marshal(struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}{o.op, o.path, o.value})
}

// Pointer returns the path of a field (RFC 6901), in which keys may contain slashes.
func Pointer(keys ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var path strings.Builder
	for _, key := range keys {
		path.WriteString("/" + escape.Replace(key))
	}
	return path.String()
}

// IsTestFailure reports whether the API server rejected a patch because a test of it failed. Validation was not reached
// then, so the error does not say what is invalid; a validation error does.
func IsTestFailure(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind == "" && len(details.Causes) == 0
}
