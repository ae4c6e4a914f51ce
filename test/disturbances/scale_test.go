// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"fmt"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// graceful is midCanary with pods that live long enough after their deletion for the gateway to notice on a busy
// machine, because these tests delete serving pods.
func graceful(t *testing.T) *harness.App {
	t.Helper()
	a := harness.Start(t, env, harness.Options{
		Rate: rate, Steps: []v1alpha1.Step{builder.HeaderRoute("qa", "role", "qa"), builder.Weight(40), builder.Hold()},
		Edit: func(r *v1alpha1.CanaryRollout) { builder.GracePeriod(r, 5) },
	})
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/3")
	return a
}

// waitForSizes waits until the revisions have these numbers of pods, with the weight unchanged.
func waitForSizes(a *harness.App, stable, canary int32) {
	a.WaitFor(fmt.Sprintf("%d stable and %d canary pods", stable, canary), func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StatePaused && s.Step == "3/3" && s.Traffic.DesiredWeight == 40 && s.Memory.Traffic.VerifiedAt != nil &&
			s.Stable.Available == stable && s.Stable.Replicas == stable && s.Canary.Available == canary && s.Canary.Replicas == canary
	})
}

// TestScale scales in mid-canary by hand: both revisions are scaled at once, up and down.
func TestScale(t *testing.T) {
	t.Parallel()
	a := graceful(t)
	v1, s := a.Stable(), a.Terminal()
	for _, size := range []struct{ replicas, canary int32 }{{8, 4}, {3, 2}, {5, 2}} {
		s.Run(fmt.Sprintf("kubectl scale canaryrollout reviews --replicas=%d", size.replicas))
		waitForSizes(a, size.replicas, size.canary)
	}
	finish(t, a, v1)
	a.CheckLoss()
}

// TestAutoscaler has a HorizontalPodAutoscaler scale in mid-canary, by its bounds, which need no metrics.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	a := graceful(t)
	v1 := a.Stable()
	scaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "reviews"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CanaryRollout", Name: "reviews"},
			MinReplicas:    ptr.To[int32](7), MaxReplicas: 10,
		},
	}
	a.Create(scaler)
	waitForSizes(a, 7, 3)
	patchScaler(t, scaler, 2, 3)
	waitForSizes(a, 3, 2)
	finish(t, a, v1)
	if replicas := a.Get().Status.Replicas; replicas != 3 {
		t.Errorf("%d pods after the promotion, want those of the autoscaler", replicas)
	}
	a.CheckLoss()
}

func patchScaler(t *testing.T, scaler *autoscalingv2.HorizontalPodAutoscaler, least, most int) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"minReplicas":%d,"maxReplicas":%d}}`, least, most)
	if err := env.Admin.Patch(t.Context(), scaler, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// TestEviction evicts a pod of each revision in mid-canary, one at a time as a PodDisruptionBudget requires.
func TestEviction(t *testing.T) {
	t.Parallel()
	a := graceful(t)
	status := a.Get().Status
	a.Create(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "reviews"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "reviews"}},
		},
	})
	for _, revision := range []string{status.Canary.Revision, status.Stable.Revision} {
		waitForBudget(t, a, 6)
		evict(t, a, revision)
		waitForBudget(t, a, 6)
		waitForSizes(a, 4, 2)
	}
	finish(t, a, status.Stable.Revision)
	a.CheckLoss()
}

// waitForBudget waits until the budget counts this many pods of both revisions, all healthy.
func waitForBudget(t *testing.T, a *harness.App, pods int32) {
	t.Helper()
	a.Eventually("the budget to allow a disruption", func() (bool, string) {
		budget := &policyv1.PodDisruptionBudget{}
		if err := env.Admin.Get(t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "reviews"}, budget); err != nil {
			t.Fatal(err)
		}
		s := budget.Status
		return s.ExpectedPods == pods && s.CurrentHealthy == pods && s.DisruptionsAllowed == 1 && len(s.DisruptedPods) == 0, fmt.Sprintf("%+v", s)
	})
}

// evict evicts one pod of a revision as a node drain does, and waits until it is terminating.
func evict(t *testing.T, a *harness.App, revision string) {
	t.Helper()
	for name, of := range podsOf(t, a) {
		if of != revision {
			continue
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: name}}
		if err := env.Admin.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{}); err != nil {
			t.Fatal(err)
		}
		a.Eventually("the pod to be terminating", func() (bool, string) {
			_, stays := podsOf(t, a)[name]
			return !stays, "it stays"
		})
		return
	}
	t.Fatalf("no pod of revision %s", revision)
}
