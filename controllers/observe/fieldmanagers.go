// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The managedFields of shared objects say who wrote them, but they are large. The cache keeps only the name of one field
// manager, so that reporting it costs no request. It is exact: the rules of a route and the selector of a Service are
// atomic, so the API server attributes each as a whole to the manager that wrote it last.

// StripRoute is a cache transform that keeps a route as it is, except that its managedFields only name the field manager
// that wrote the rules last, and that the copy of the manifest that kubectl apply leaves is dropped.
func StripRoute(object any) (any, error) {
	if route, isRoute := object.(*unstructured.Unstructured); isRoute {
		keepFieldManager(route, "f:rules")
		unstructured.RemoveNestedField(route.Object, "metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}

// keepFieldManager does for an unstructured object what fieldManagerEntry does for a typed one. It reads the fields in place: gateways
// write the status of routes all the time, and converting all entries for each event costs more than the rest of it.
func keepFieldManager(object *unstructured.Unstructured, field string) {
	metadata, _ := object.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	delete(metadata, "managedFields")
	latest, latestTime := "", ""
	for _, item := range entries {
		entry, _ := item.(map[string]any)
		_, owned, _ := unstructured.NestedFieldNoCopy(entry, "fieldsV1", "f:spec", field)
		at, _ := entry["time"].(string) // in UTC, with the precision of a second: it can be compared as text
		if entry["subresource"] == nil && owned && (latest == "" || at > latestTime) {
			latest, _ = entry["manager"].(string)
			latestTime = at
		}
	}
	if latest != "" {
		metadata["managedFields"] = []any{map[string]any{"manager": latest}}
	}
}

// fieldManagerEntry returns the latest entry that owns a field of the spec, reduced to the name; nil if there is none.
func fieldManagerEntry(object metav1.Object, field string) []metav1.ManagedFieldsEntry {
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
	// An entry that cannot be read owns nothing.
	return json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec[field] != nil
}

// fieldManagerOf returns the field manager that a transform has kept.
func fieldManagerOf(object metav1.Object) string {
	if route, isRoute := object.(*unstructured.Unstructured); isRoute {
		entries, _, _ := unstructured.NestedFieldNoCopy(route.Object, "metadata", "managedFields")
		if list, _ := entries.([]any); len(list) == 1 {
			entry, _ := list[0].(map[string]any)
			manager, _ := entry["manager"].(string)
			return manager
		}
		return ""
	}
	if entries := object.GetManagedFields(); len(entries) == 1 {
		return entries[0].Manager
	}
	return ""
}
