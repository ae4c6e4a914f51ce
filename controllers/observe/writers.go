// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The managedFields of the objects that we share with people and tools say who wrote them, but they are large. The
// cache keeps only the manager's name, so that reporting it costs no request. It is exact: the rules of a route and
// the selector of a Service are atomic, so the API server attributes each as a whole to its last writer.

// StripRoute is a cache transform that keeps a route as it is, except that its managedFields only name the writer of
// the rules.
func StripRoute(object any) (any, error) {
	if route, isRoute := object.(*unstructured.Unstructured); isRoute {
		route.SetManagedFields(writerEntry(route, "f:rules"))
	}
	return object, nil
}

// writerEntry returns the latest entry that owns a field of the spec, reduced to its manager; nil if there is none.
func writerEntry(object metav1.Object, field string) []metav1.ManagedFieldsEntry {
	var latest *metav1.ManagedFieldsEntry
	entries := object.GetManagedFields()
	for i := range entries {
		if owns(entries[i], field) && (latest == nil || latest.Time.Before(entries[i].Time)) {
			latest = &entries[i]
		}
	}
	if latest == nil {
		return nil
	}
	return []metav1.ManagedFieldsEntry{{Manager: latest.Manager}}
}

func owns(entry metav1.ManagedFieldsEntry, field string) bool {
	if entry.Subresource != "" || entry.FieldsV1 == nil {
		return false
	}
	var fields struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	// An entry that cannot be read names nobody.
	return json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec[field] != nil
}

// writerOf returns the manager that a transform has kept.
func writerOf(object metav1.Object) string {
	if entries := object.GetManagedFields(); len(entries) == 1 {
		return entries[0].Manager
	}
	return ""
}
