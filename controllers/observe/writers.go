// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Who wrote into the objects that we share with people and tools is in their managedFields, which are large. Of them the
// cache keeps the name alone, so that telling it costs no request. It is exact: the rules of a route and the selector of
// a Service are atomic, so the API server gives each as a whole to whoever changed it last.

// StripRoute is a cache transform: it keeps a route as it is, but of its managedFields only who wrote the rules.
func StripRoute(object any) (any, error) {
	if route, isRoute := object.(*unstructured.Unstructured); isRoute {
		route.SetManagedFields(writerEntry(route, "f:rules"))
	}
	return object, nil
}

// writerEntry is the latest entry that owns a field of the spec, reduced to its manager; nil if there is none.
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
	// What cannot be read names nobody.
	return json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec[field] != nil
}

// writerOf is the manager that a transform has kept.
func writerOf(object metav1.Object) string {
	if entries := object.GetManagedFields(); len(entries) == 1 {
		return entries[0].Manager
	}
	return ""
}
