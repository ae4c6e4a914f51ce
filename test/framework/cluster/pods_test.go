// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

func podNames(t *testing.T, app string) (names []string) {
	t.Helper()
	list, err := api.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range list.Items {
		names = append(names, pod.Name)
	}
	return names
}

// makePod creates a pod and returns it when it is running.
func makePod(t *testing.T, name string, grace int64, annotations map[string]string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod.Spec.Containers = []corev1.Container{{Name: "app", Image: "registry.example/app:v1"}}
	if _, err := api.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, name+" runs", func() bool {
		pod = getPod(t, name)
		return pod.Status.Phase == corev1.PodRunning
	})
	return pod
}

func getPod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := api.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func address(pod *corev1.Pod) string {
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(cluster.PodPort))
}

// get sends a request to a pod with the given client. It drops the body.
func get(client *http.Client, pod *corev1.Pod) (int, error) {
	response, err := client.Get("http://" + address(pod))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if pod.Name != response.Header.Get(backend.PodHeader) {
		return 0, fmt.Errorf("answered by %q", response.Header.Get(backend.PodHeader))
	}
	return response.StatusCode, nil
}

// once is a client without keep-alive, so that each request shows the current state of the pod.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}

func responds(pod *corev1.Pod) bool {
	status, err := get(once, pod)
	return err == nil && status == http.StatusOK
}

func refuses(pod *corev1.Pod) bool {
	_, err := get(once, pod)
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED)
}

func TestPodThatIsNeverReadyRefuses(t *testing.T) {
	pod := makePod(t, "never", 0, map[string]string{cluster.NeverReady: "true"})
	if !refuses(pod) {
		t.Error("a pod that is not Ready took a connection")
	}
	annotate(t, pod.Name, cluster.NeverReady, "null")
	eventually(t, "the pod is allowed to be Ready", func() bool { return responds(pod) })
}

func TestReadinessIsDelayed(t *testing.T) {
	pod := makePod(t, "slow", 0, map[string]string{cluster.ReadyAfter: "1500ms"})
	began := time.Now()
	eventually(t, "the pod is Ready", func() bool { return responds(pod) })
	if took := time.Since(began); took < time.Second || took > 4*time.Second {
		t.Errorf("Ready %s after it ran, not 1.5 s", took)
	}
}

// A kept-alive connection must end with the pod, otherwise a gateway's connection would hide the loss.
func TestFailingPodResetsKeptConnections(t *testing.T) {
	pod := makePod(t, "kept", 0, nil)
	eventually(t, "the pod answers", func() bool { return responds(pod) })
	conn, err := net.Dial("tcp", address(pod))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	annotate(t, pod.Name, cluster.Fail, `"true"`)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, not a reset", err)
	}
	if !refuses(pod) {
		t.Error("the pod takes new connections")
	}
}

func TestTerminatingPodAnswersForItsGracePeriod(t *testing.T) {
	pod := makePod(t, "terminating", 3, nil)
	eventually(t, "the pod answers", func() bool { return responds(pod) })
	if err := api.CoreV1().Pods("default").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	end := getPod(t, pod.Name).DeletionTimestamp.Time
	for time.Until(end) > 200*time.Millisecond {
		if !responds(pod) {
			t.Fatalf("no answer %s before the end of the grace period", time.Until(end))
		}
	}
	<-time.After(time.Until(end))
	if !refuses(pod) {
		t.Error("the pod answers after its grace period")
	}
	eventually(t, "the pod is gone", func() bool { return gone(t.Context(), pod.Name) })
}

func TestFinalizerKeepsThePodsObject(t *testing.T) {
	pod := makePod(t, "held", 1, nil)
	const finalizer = "test.canaryrollout.dev/hold"
	pod.Finalizers = []string{finalizer}
	if _, err := api.CoreV1().Pods("default").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.CoreV1().Pods("default").Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is killed", func() bool { return *getPod(t, pod.Name).DeletionGracePeriodSeconds == 0 })
	if !refuses(pod) {
		t.Error("a killed pod answers")
	}
	held := getPod(t, pod.Name)
	held.Finalizers = nil
	if _, err := api.CoreV1().Pods("default").Update(t.Context(), held, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is gone", func() bool { return gone(t.Context(), pod.Name) })
}

func gone(ctx context.Context, pod string) bool {
	_, err := api.CoreV1().Pods("default").Get(ctx, pod, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// otherProcesses returns all processes in the namespace except process 1 and this one.
func otherProcesses() (others []string) {
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		command, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err == nil && pid != 1 && pid != os.Getpid() {
			others = append(others, fmt.Sprintf("%d %q", pid, command))
		}
	}
	return others
}
