// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// plugin runs kubectl canary in the namespace of an app.
type plugin struct {
	t *testing.T
	a *harness.App
}

func (p plugin) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, os.Getenv(binaryVariable), append(args, "-n", p.a.Namespace)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(cluster.Admin))
	return command
}

// run runs a command, checks its exit code, and returns what was printed on both streams.
func (p plugin) run(want int, args ...string) string {
	p.t.Helper()
	output, err := p.command(p.t.Context(), args...).CombinedOutput()
	code, exit := 0, (*exec.ExitError)(nil)
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}
	line := "kubectl canary " + strings.Join(args, " ")
	p.t.Logf("$ %s\n%s", line, output)
	if code != want {
		p.t.Fatalf("%s: exit code %d, want %d", line, code, want)
	}
	return string(output)
}

// says checks that an output contains some texts.
func (p plugin) says(output string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			p.t.Errorf("%q is missing in:\n%s", text, output)
		}
	}
}

// TestPluginRelease completes two releases, under load: with promote, and with promote --full.
func TestPluginRelease(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Rate: rate, Steps: []v1alpha1.Step{
		builder.Scale(1), builder.Hold(), builder.Weight(40), builder.Hold(),
	}})
	p := plugin{t, a}
	v1 := a.Stable()
	p.says(p.run(0, "status", "reviews"), "Healthy", v1)
	p.run(1, "promote", "reviews")

	p.says(p.run(0, "set", "image", "reviews", "app="+builder.ImageV2), "next: step 1/4, setCanaryScale 1 pod")
	p.says(p.run(2, "status", "reviews", "--wait", "--timeout=6s"), "Paused", "step 2/4") // not confused by the previous state
	a.WaitForPause("2/4")
	v2 := a.Get().Status.Revision
	p.says(p.run(0, "get", "reviews"), "Paused, step 2/4", "kubectl canary promote reviews -n "+a.Namespace,
		"> 2  pause until promoted", "revision "+v2, "reviews-"+v1+"-", "5/5 (stable 4/4, canary 1/1)", builder.ImageV2+" (canary)")
	p.says(p.run(0, "list"), "reviews  Paused")

	p.says(p.run(1, "promote", "reviews", "--at", v1+"/2"), "it should be at "+v1+"/2, but is at "+v2+"/2")
	p.says(p.run(1, "promote", "reviews", "--at", v2+"/1"), "but is at "+v2+"/2")
	p.says(p.run(1, "promote", "reviews", "--full", "--at", v1), "it should be at "+v1)
	p.says(p.run(0, "promote", "reviews", "--dry-run=server", "-o", "yaml"), v1alpha1.PromoteAnnotation+": "+v2+"/2")
	if got := a.Get(); got.Status.Step != "2/4" || got.Annotations[v1alpha1.PromoteAnnotation] != "" {
		t.Fatalf("a refused promote or a dry run moved it: step %s, %v", got.Status.Step, got.Annotations)
	}
	p.says(p.run(0, "promote", "reviews", "--at", v2+"/2"), "promoted reviews at step 2/4 (revision "+v2+"); next: setWeight 40")
	a.WaitForPause("4/4")
	p.says(p.run(0, "promote", "reviews"), "next: the promotion, because all steps are done")
	p.says(p.run(0, "status", "reviews", "--wait", "--timeout=60s"), "Healthy", v2)
	p.says(p.run(0, "history", "reviews"), v2+" (stable)", "Promoted")

	p.run(0, "set", "image", "reviews", "app="+builder.ImageV3)
	a.WaitForPause("2/4")
	v3 := a.Get().Status.Revision
	p.says(p.run(0, "promote", "reviews", "--full"), "promoted reviews to the end (revision "+v3+")")
	p.says(p.run(0, "status", "reviews", "--wait", "--timeout=60s"), "Healthy", v3)
	a.WaitForDrain(v2)
	a.CheckRoute()
	a.CheckLoss()
}

// TestPluginWayBack aborts, retries and undoes, under load.
func TestPluginWayBack(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(20), builder.Hold()}})
	p := plugin{t, a}
	v1 := a.Stable()
	p.run(0, "set", "image", "reviews", "app="+builder.ImageV2)
	a.WaitForPause("2/2")
	v2 := a.Get().Status.Revision

	// The API server keeps a command from applying to a newer revision: it tests the status in a patch of the main
	// resource.
	guarded := `kubectl patch canaryrollout reviews --type=json -p '[{"op": "test", "path": "/status/memory/currentRevision", "value": "other"},
		{"op": "add", "path": "/metadata/annotations", "value": {"canaryrollout.dev/abort": "true"}}]'`
	if output, err := a.Terminal().Try(guarded); err == nil {
		t.Errorf("a patch whose test fails was taken: %s", output)
	}
	p.says(p.run(0, "pause", "reviews"), "paused reviews; revision "+v2)
	p.says(p.run(1, "promote", "reviews"), "spec.paused holds the rollout")
	p.says(p.run(0, "resume", "reviews"), "resumed reviews")
	a.WaitForPause("2/2")

	p.says(p.run(0, "abort", "reviews", "--reason", "too many errors"), "aborted reviews (revision "+v2+"); next: all traffic returns to revision "+v1)
	p.says(p.run(1, "status", "reviews", "--wait", "--timeout=60s"), "Aborted", "too many errors")
	p.says(p.run(0, "history", "reviews"), v1+" (stable)", "Aborted", "too many errors")
	p.run(1, "abort", "reviews")
	p.says(p.run(0, "retry", "reviews"), "retrying revision "+v2)
	p.says(p.run(2, "status", "reviews", "--wait", "--timeout=6s"), "Paused", v2) // not confused by the previous abort

	p.says(p.run(0, "undo", "reviews"), "the template of revision "+v1)
	p.says(p.run(0, "status", "reviews", "--wait", "--timeout=60s"), "Healthy", v1)

	// The defaulted template of a ReplicaSet gives the same revision, not a new one.
	p.says(p.run(0, "undo", "reviews", "--to-revision", v2), "the template of revision "+v2)
	a.WaitForPause("2/2")
	if got := a.Get().Status.Revision; got != v2 {
		t.Errorf("undo to %s made revision %s", v2, got)
	}
	p.run(0, "promote", "reviews")
	p.says(p.run(0, "status", "reviews", "--wait", "--timeout=60s"), "Healthy", v2)
	p.says(p.run(0, "undo", "reviews"), "the template of revision "+v1) // the previous stable revision
	a.WaitForPause("2/2")
	if got := a.Get().Status.Revision; got != v1 {
		t.Errorf("undo to %s made revision %s", v1, got)
	}
	p.run(0, "abort", "reviews")
	p.run(1, "status", "reviews", "--wait", "--timeout=60s")
	a.CheckRoute()
	a.CheckLoss()
}

// crowd is the number of other pods in the namespace, and atOnce the time within which the first picture must be
// printed all the same.
const (
	crowd  = 2000
	atOnce = 500 * time.Millisecond
)

// TestPluginInCrowd starts get -w in a namespace with thousands of pods of other rollouts, and follows a release. It
// measures a time, so it is not parallel.
func TestPluginInCrowd(t *testing.T) {
	a := harness.Start(t, env, harness.Options{Steps: []v1alpha1.Step{builder.Hold()}, Rate: 12})
	p := plugin{t, a}
	makeCrowd(t, a.Namespace)
	p.run(0, "get", "reviews") // the binary is now in the page cache
	best := time.Hour
	for range 3 {
		best = min(best, p.firstPicture())
	}
	t.Logf("the first picture is there after %s", best.Round(time.Millisecond))
	if best > atOnce {
		t.Errorf("it should be within %s", atOnce)
	}

	out := &screen{}
	command := p.command(t.Context(), "get", "reviews", "-w")
	command.Stdout, command.Stderr = out, out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	a.Eventually("the first picture", func() (bool, string) {
		return strings.Contains(out.String(), "Healthy"), out.String()
	})
	p.run(0, "set", "image", "reviews", "app="+builder.ImageV2)
	a.WaitForPause("1/1")
	// The image comes from the ReplicaSet, which has a watch of its own: it may follow the pause by a picture.
	a.Eventually("the pause and the new image to be shown", func() (bool, string) {
		text := out.String()
		return strings.Contains(text, "Paused, step 1/1") && strings.Contains(text, builder.ImageV2), text
	})
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if strings.Contains(out.String(), "crowd-") {
		t.Error("pods of others are shown")
	}
}

// screen collects what a command prints while it runs.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// makeCrowd creates pods that are never scheduled.
func makeCrowd(t *testing.T, namespace string) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range crowd {
		group.Go(func() error {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: fmt.Sprintf("crowd-%d", i),
					Labels: map[string]string{"app": fmt.Sprintf("crowd-%d", i%20), v1alpha1.RevisionLabel: "crowd"},
				},
				Spec: corev1.PodSpec{
					SchedulingGates: []corev1.PodSchedulingGate{{Name: "test.canaryrollout.dev/never"}},
					Containers:      []corev1.Container{{Name: "app", Image: builder.ImageV1}},
				},
			}
			return env.Admin.Create(ctx, pod)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// firstPicture returns how long get -w takes from its start to the last line of the first picture.
func (p plugin) firstPicture() time.Duration {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer stop()
	command := p.command(ctx, "get", "reviews", "-w")
	output, err := command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	pod := "reviews-" + p.a.Stable() + "-"
	began := time.Now()
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(lines.Text(), pod) { // pods are printed last
			break
		}
	}
	took := time.Since(began)
	stop()
	_ = command.Wait() // it was killed
	return took
}
