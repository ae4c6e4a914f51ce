// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// options are those of the one cluster for all tests.
var options = cluster.Options{LateEndpoints: true, Prometheus: true}

var (
	up   *cluster.Cluster
	api  kubernetes.Interface
	pods *backend.Backend
)

func TestMain(m *testing.M) {
	if does := os.Getenv(helperVariable); does != "" {
		cluster.Isolate(cluster.Expose{Inside: echoInside, Outside: "127.0.0.1:0"})
		helper(does)
		return
	}
	if err := cluster.Build(context.Background(), os.Stderr, options); err != nil {
		fmt.Println("FAIL: building:", err)
		os.Exit(1)
	}
	cluster.Isolate()
	log.SetLogger(logr.Discard()) // otherwise controller-runtime complains that no logger was set
	os.Exit(run(m))
}

// run starts one cluster for all tests. It also checks that no process is left behind, which is only possible after
// stopping the cluster.
func run(m *testing.M) int {
	began := time.Now()
	var err error
	if up, err = cluster.Start(context.Background(), options); err != nil {
		fmt.Println("FAIL: starting:", err)
		return 1
	}
	fmt.Printf("the cluster is ready after %s, logs in %s\n", time.Since(began).Round(time.Millisecond), up.Dir)
	api = kubernetes.NewForConfigOrDie(up.RESTConfig(cluster.Admin))
	if pods, err = backend.Start(context.Background(), up.RESTConfig(cluster.Admin)); err != nil {
		fmt.Println("FAIL: the pods' backend:", err)
		return 1
	}
	code := m.Run()
	if err := pods.Stop(); err != nil {
		fmt.Println("FAIL: stopping the pods' backend:", err)
		code = 1
	}
	if err := up.Cleanup(code != 0); err != nil {
		fmt.Println("FAIL: stopping:", err)
		code = 1
	}
	if left := otherProcesses(); len(left) > 0 {
		fmt.Println("FAIL: left behind:", left)
		code = 1
	}
	return code
}

// workload is a Deployment with its Service. The image's name contains the version.
const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{name: app, image: "registry.example/%[1]s:1.0"}]
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec: {selector: {app: %[1]s}, ports: [{port: 9080}]}
`

const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s}
spec:
  parentRefs: [{name: http-gateway}]
  hostnames: [%[1]s.example.com]
  rules:
  - backendRefs: [%[2]s]
`

func ref(service string, weight int) string {
	return fmt.Sprintf("{name: %s, port: 9080, weight: %d}", service, weight)
}

func apply(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := cluster.Apply(t.Context(), up.RESTConfig(cluster.Admin), fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition for up to 20 seconds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v; logs in %s", what, err, up.Dir)
	}
}

func readyPods(t *testing.T, app string) (ready []corev1.Pod) {
	t.Helper()
	list, err := api.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range list.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				ready = append(ready, pod)
			}
		}
	}
	return ready
}

func annotate(t *testing.T, pod, key, value string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, key, value)
	_, err := api.CoreV1().Pods("default").Patch(t.Context(), pod, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func scale(t *testing.T, deployment string, replicas int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := api.AppsV1().Deployments("default").Patch(t.Context(), deployment, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// answers waits until the gateway serves the host, so that failures in a test come from the test itself.
func answers(t *testing.T, host string, rate float64) {
	t.Helper()
	probe := load.Start(t.Context(), load.Options{Host: host, Rate: rate})
	defer probe.Stop()
	eventually(t, host+" answers", func() bool {
		last := probe.Last(200 * time.Millisecond)
		return last.Sent > 3 && last.Failed == 0
	})
}
