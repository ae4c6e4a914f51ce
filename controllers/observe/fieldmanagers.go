// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The managedFields of shared objects say who wrote them, but they are large. The cache keeps only the name of one field
// manager, so that reporting it costs no request. It is exact: the rules of a route and the selector of a Service are
// atomic, so the API server attributes each as a whole to the manager that wrote it last.

// StripRoute is a cache transform that keeps a route as it is, except that its managedFields only name the field manager
// that wrote the rules last.
func StripRoute(object any) (any, error) {
	if route, isRoute := object.(*unstructured.Unstructured); isRoute {
		route.SetManagedFields(fieldManagerEntry(route, "f:rules"))
	}
	return object, nil
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
	if entries := object.GetManagedFields(); len(entries) == 1 {
		return entries[0].Manager
	}
	return ""
}
