// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestVersion(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example:5000/team/shop-v2:1.4": "v2",
		"registry.example:5000/shop:v3":          "v3",
		"shop-v1@sha256:abcdef":                  "v1",
		"shop-v10":                               "v10",
		"shop:v1@sha256:abcdef":                  "v1",
		"shop":                                   "",
	} {
		if got := Version(image); got != want {
			t.Errorf("%s is %q, not %q", image, got, want)
		}
	}
}

func TestAPodAnswersOnlyWhileItMay(t *testing.T) {
	table := newPods()
	check := func(when string, want bool) {
		t.Helper()
		if _, got := table.answering("10.244.0.1"); got != want {
			t.Errorf("%s: answers is %t", when, got)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	pod.Spec.Containers = []corev1.Container{{Image: "shop:v1"}}
	check("before there is a pod", false)
	table.set(pod)
	pod.Status.PodIP = "10.244.0.1"
	table.set(pod)
	check("not Ready", false)
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	table.set(pod)
	check("Ready", true)
	pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(50 * time.Millisecond)}
	table.set(pod)
	check("in its grace period", true)
	<-time.After(60 * time.Millisecond)
	check("after its grace period, without any event", false)
	table.remove(pod)
	check("gone", false)
	if table.name("10.244.0.1") != "a" {
		t.Error("the name of a pod that is gone is forgotten")
	}
}
