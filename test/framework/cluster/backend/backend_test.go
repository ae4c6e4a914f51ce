// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
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
	table := newPods(nil)
	check := func(when string, want bool) {
		t.Helper()
		if _, _, got := table.answering("10.244.0.1"); got != want {
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

// TestAConnectionIsNotRefusedForALateWatch: the API server decides whether a pod is Ready. What the watch reports
// later is older and is ignored.
func TestAConnectionIsNotRefusedForALateWatch(t *testing.T) {
	ready := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "20"}}
	ready.Spec.Containers = []corev1.Container{{Image: "shop:v1"}}
	ready.Status.PodIP = "127.0.0.1"
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	var found atomic.Pointer[corev1.Pod]
	table := newPods(func(string) *corev1.Pod { return found.Load() })
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Listener = &gate{Listener: listener, pods: table}
	server.Start()
	defer server.Close()
	answers := func(when string, want bool) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	answers("no pod", false)
	found.Store(ready)
	answers("Ready, the watch is late", true)
	found.Store(nil)
	older := ready.DeepCopy()
	older.ResourceVersion, older.Status.Conditions = "10", nil
	table.set(older)
	answers("an older state comes by the watch", true)
	older.ResourceVersion = "30"
	table.set(older)
	answers("not Ready any more", false)
}

// TestManner: the environment of a version decides how badly it answers, and a value that cannot be used is an answer of
// its own, not a version that is good.
func TestManner(t *testing.T) {
	of := func(variables ...corev1.EnvVar) manner {
		pod := &corev1.Pod{}
		pod.Spec.Containers = []corev1.Container{{Env: variables}}
		return mannerOf(pod)
	}
	for name, c := range map[string]struct {
		manner   manner
		from, to int // errors among 10,000 answers
	}{
		"good": {of(corev1.EnvVar{Name: "LOG_DIR", Value: "/tmp"}), 0, 0},
		"bad":  {of(corev1.EnvVar{Name: ErrorPercent, Value: "3"}), 200, 400},
		"dead": {of(corev1.EnvVar{Name: ErrorPercent, Value: "100"}), 10_000, 10_000},
		"typo": {of(corev1.EnvVar{Name: ErrorPercent, Value: "3%"}), 10_000, 10_000},
		"slip": {of(corev1.EnvVar{Name: Latency, Value: "3"}), 10_000, 10_000},
	} {
		failed := 0
		for range 10_000 {
			if c.manner.perform(t.Context()) != nil {
				failed++
			}
		}
		if failed < c.from || failed > c.to {
			t.Errorf("%s: %d of 10000 answers are errors, want %d to %d", name, failed, c.from, c.to)
		}
	}
	began := time.Now()
	if err := of(corev1.EnvVar{Name: Latency, Value: "50ms"}).perform(t.Context()); err != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("a slow version answers after %s: %v", time.Since(began), err)
	}
}
