// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// TestForbiddenPods: a quota that forbids the canary's pods is reported in the message at once, and disappears with
// the quota.
func TestForbiddenPods(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: "tight"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
	}
	if err := env.Admin.Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	a.kubectl("wait", "quota/tight", "--for=jsonpath={.status.used.pods}=2", "--timeout=60s")
	a.setImage(builder.ImageV2)
	a.waitFor("the words of the quota", func(r *v1alpha1.CanaryRollout) bool {
		return strings.HasPrefix(r.Status.Message, "waiting for 1 available pod of revision ") && strings.Contains(r.Status.Message, "exceeded quota: tight")
	})
	a.delete("tight", &corev1.ResourceQuota{})
	a.waitFor("the pause", func(r *v1alpha1.CanaryRollout) bool { return r.Status.State == v1alpha1.StatePaused })
}

// TestUnschedulablePods: the scheduler's message about pods is reported in the status, although pods are not cached.
func TestUnschedulablePods(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	a.patch(`{"spec":{"template":{"spec":{"nodeSelector":{"disk":"fast"}}}}}`)
	a.waitFor("the words of the scheduler", func(r *v1alpha1.CanaryRollout) bool {
		return strings.Contains(r.Status.Message, "(1 of 1 unready pods: Unschedulable: 0/1 nodes are available:")
	})
}
