// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// TestDashboard: with the arguments and the permissions that the chart gives it, the dashboard shows the rollouts of the namespaces
// of the release, with all parts of their pages, to users of its host name.
func TestDashboard(t *testing.T) {
	r := install(t, helm.Chart())
	r.start()
	a := harness.New(t, env, builder.Weight(50))
	r.upgrade("--set=dashboard.enabled=true,dashboard.hosts={canaries.example.com}")

	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: namespace, Name: "canaryrollout-dashboard"}
	if err := env.Admin.Get(t.Context(), key, deployment); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	args := append(slices.Clone(pod.Containers[0].Args), "--kubeconfig="+writeKubeconfig(t, r.actAs(pod.ServiceAccountName)))
	command := exec.CommandContext(t.Context(), os.Getenv(pluginVariable), args...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // it was killed
	if lines := bufio.NewScanner(out); !lines.Scan() || !strings.Contains(lines.Text(), "for canaries.example.com") {
		t.Fatalf("it printed %q", lines.Text())
	}

	if page := firstEvent(t, "/api/rollouts/"+a.Namespace+"/reviews", "page"); !strings.Contains(page, `"state":"Healthy"`) || strings.Contains(page, `"problems"`) {
		t.Errorf("the page is %s", page)
	}
	for path, want := range map[string]int{"/": http.StatusMisdirectedRequest, pod.Containers[0].ReadinessProbe.HTTPGet.Path: http.StatusOK} {
		response := request(t.Context(), t, path, "127.0.0.1:8080")
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s by the address of the pod: status %d, want %d", path, response.StatusCode, want)
		}
	}
}

func request(ctx context.Context, t *testing.T, path, host string) *http.Response {
	t.Helper()
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked.Host = host
	response, err := http.DefaultClient.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// firstEvent returns the data of the first event of a name in a stream.
func firstEvent(t *testing.T, path, name string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	response := request(ctx, t, path, "canaries.example.com")
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == "event: "+name && lines.Scan() {
			return strings.TrimPrefix(lines.Text(), "data: ")
		}
	}
	t.Fatalf("status %d, and no event %s: %v", response.StatusCode, name, lines.Err())
	return ""
}
