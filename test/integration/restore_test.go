// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// backedUp returns the objects of the app as a backup tool keeps them, in the order of a restore: without status,
// owners and identity.
func (a *app) backedUp() (objects []*unstructured.Unstructured) {
	a.t.Helper()
	for _, kind := range []schema.GroupVersionKind{
		appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"), corev1.SchemeGroupVersion.WithKind("ServiceList"),
		{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRouteList"}, v1alpha1.GroupVersion.WithKind("CanaryRolloutList"),
	} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := env.Admin.List(a.t.Context(), list, client.InNamespace(a.namespace)); err != nil {
			a.t.Fatal(err)
		}
		for i := range list.Items {
			object := &list.Items[i]
			kept := map[string]any{"name": object.GetName(), "namespace": a.namespace}
			for _, field := range []string{"labels", "annotations"} {
				if values, found, _ := unstructured.NestedMap(object.Object, "metadata", field); found {
					kept[field] = values
				}
			}
			object.Object["metadata"] = kept
			unstructured.RemoveNestedField(object.Object, "status")
			unstructured.RemoveNestedField(object.Object, "spec", "clusterIP")
			unstructured.RemoveNestedField(object.Object, "spec", "clusterIPs")
			objects = append(objects, object)
		}
	}
	return objects
}

// TestRestore deletes everything in mid-canary and restores it from a backup of that moment. No pod is ready at
// first. The revision that was stable is stable again, and the canary starts at its first step, because a restore
// verifies nothing.
func TestRestore(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Steps(builder.Weight(50), builder.Hold()).PodAnnotation(cluster.ReadyAfter, "2s"))
	stable := a.waitForState(v1alpha1.StateHealthy).Status.Stable.Revision
	a.patch(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, builder.ImageV2)
	a.waitForStep(v1alpha1.StatePaused, "2/2")
	backup := a.backedUp()
	a.deleteRollout("background")
	if err := env.Admin.DeleteAllOf(t.Context(), &appsv1.ReplicaSet{}, client.InNamespace(a.namespace), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	a.waitForNoPods()
	for _, name := range []string{"reviews-stable", "reviews-canary"} {
		a.delete(name, &corev1.Service{})
	}
	a.delete("reviews", &gatewayv1.HTTPRoute{})
	a.within(patience, "the ReplicaSets to go", func() (bool, string) {
		list := &appsv1.ReplicaSetList{}
		if err := env.Admin.List(t.Context(), list, client.InNamespace(a.namespace)); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == 0, fmt.Sprint(len(list.Items))
	})
	for _, object := range backup {
		a.create(object)
	}
	restored := time.Now()
	a.wrote(a.rollout())
	paused := a.waitForStep(v1alpha1.StatePaused, "2/2")
	if got := paused.Status.Stable.Revision; got != stable {
		t.Errorf("stable is %s %s after the restore, and was %s", got, time.Since(restored), stable)
	}
	a.checkSelects("reviews-stable", stable)
	a.checkTraffic("50/50")
}
