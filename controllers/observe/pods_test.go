// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestReplicaFailure: a quota that forbids pods shows in the ReplicaSet's condition, not in a pod. Reading it takes
// no request.
func TestReplicaFailure(t *testing.T) {
	const why = `pods "reviews-aaa-x" is forbidden: exceeded quota: tight`
	w := newWorld(t, []client.Object{
		anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")),
		aReplicaSet(t, "aaa", "", func(replicaSet *unstructured.Unstructured) {
			replicaSet.Object["status"].(map[string]any)["replicas"] = int64(1)
			_ = unstructured.SetNestedSlice(replicaSet.Object, []any{map[string]any{
				"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why,
			}}, "status", "conditions")
		}),
	})
	if got := w.mustObserve(t); got.Observed.ReplicaSets[0].Trouble != why || w.reads > 0 || !got.ObserveAgainAt.IsZero() {
		t.Errorf("trouble %q, %d reads, looks at %s", got.Observed.ReplicaSets[0].Trouble, w.reads, got.ObserveAgainAt)
	}
}

// TestUnreadyPods: the reason is looked up 10 seconds after pods were first seen unready, then less and less often.
// Pods that are ready, or of a revision that drains, are not looked up.
func TestUnreadyPods(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews-aaa-x", Labels: map[string]string{"app": "reviews", "pod-template-hash": "aaa"}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available",
		}}},
	}
	other := pod.DeepCopy()
	other.Name, other.Labels = "ratings", map[string]string{"app": "ratings", "pod-template-hash": "aaa"}
	w := newWorld(t, []client.Object{
		anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")),
		aReplicaSet(t, "aaa", "", nil), aReplicaSet(t, "old", "", func(replicaSet *unstructured.Unstructured) { replicaSet.SetUID("old") }),
	}, pod, other)
	const words = "1 of 1 unready pods: Unschedulable: 0/3 nodes are available"
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		words string
		reads int
		next  time.Duration
	}{
		{0, "", 0, 10 * time.Second},
		{9 * time.Second, "", 0, 10 * time.Second},
		{10 * time.Second, words, 1, 20 * time.Second},
		{12 * time.Second, words, 1, 20 * time.Second},
		{20 * time.Second, words, 2, 40 * time.Second},
		{time.Hour, words, 3, 70 * time.Minute},
	} {
		w.now = begin.Add(step.after)
		got := w.mustObserve(t)
		if of := got.Observed.ReplicaSets[0]; of.Trouble != step.words || w.reads != step.reads || !got.ObserveAgainAt.Equal(begin.Add(step.next)) {
			t.Errorf("after %s: %q, %d reads, next %s", step.after, of.Trouble, w.reads, got.ObserveAgainAt.Sub(begin))
		}
	}
}
