// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestFieldManagers: of all the writers of an object, the cache keeps the field manager that wrote the shared field last.
func TestFieldManagers(t *testing.T) {
	at := func(seconds int) *metav1.Time { return &metav1.Time{Time: time.Unix(int64(seconds), 0)} }
	entry := func(manager, subresource, fields string, seconds int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: subresource, Time: at(seconds),
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	const shared = `{"f:spec":{"f:rules":{},"f:selector":{}}}`
	for name, tc := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		want    string
	}{
		"nobody says":       {nil, ""},
		"one of several":    {[]metav1.ManagedFieldsEntry{entry("traefik", "status", shared, 9), entry("helm", "", shared, 3), entry("kubectl", "", `{"f:spec":{"f:ports":{},"f:hostnames":{}}}`, 5)}, "helm"},
		"the latest":        {[]metav1.ManagedFieldsEntry{entry("helm", "", shared, 3), entry("argocd", "", shared, 5), entry("flux", "", shared, 4)}, "argocd"},
		"only a label":      {[]metav1.ManagedFieldsEntry{entry("helm", "", `{"f:metadata":{"f:labels":{"f:rules":{},"f:selector":{}}}}`, 3)}, ""},
		"cannot be read":    {[]metav1.ManagedFieldsEntry{entry("helm", "", `{`, 3)}, ""},
		"without any field": {[]metav1.ManagedFieldsEntry{{Manager: "helm"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			route, service := New(HTTPRouteKind), &corev1.Service{}
			route.SetManagedFields(tc.entries)
			service.ManagedFields = tc.entries
			stripped, err := StripRoute(route)
			if err != nil {
				t.Fatal(err)
			}
			strippedService, err := StripService(service)
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range []metav1.Object{stripped.(*unstructured.Unstructured), strippedService.(*corev1.Service)} {
				if diff := cmp.Diff(tc.want, fieldManagerOf(object)); diff != "" {
					t.Errorf("writer of %T (-want +got):\n%s", object, diff)
				}
				if entries := object.GetManagedFields(); len(entries) > 1 || len(entries) == 1 && entries[0].FieldsV1 != nil {
					t.Errorf("%T keeps more than the name: %v", object, entries)
				}
			}
		})
	}
	if got, err := StripRoute("a tombstone"); got != "a tombstone" || err != nil {
		t.Errorf("stripped = %v, %v", got, err)
	}
}
