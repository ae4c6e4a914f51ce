// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func podOf(set, name string) *corev1.Pod {
	revision := strings.TrimPrefix(set, "reviews-")
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", Labels: map[string]string{"app": "reviews", v1alpha1.RevisionLabel: revision},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set, UID: "1", Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}},
	}
}

// lists records lists and watches, to check that each one has a selector.
type lists struct {
	mu   sync.Mutex
	seen []string
}

func (l *lists) add(verb string, list client.ObjectList, options []client.ListOption) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := (&client.ListOptions{}).ApplyOptions(options)
	kind := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", list), "*"), "List")
	selector := ""
	if o.LabelSelector != nil {
		selector = o.LabelSelector.String()
	}
	if o.FieldSelector != nil {
		selector += o.FieldSelector.String()
	}
	l.seen = append(l.seen, fmt.Sprintf("%s %s in %s by %s", verb, kind, o.Namespace, selector))
}

func (l *lists) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.seen)
	slices.Sort(all)
	return slices.Compact(all)
}

func (l *lists) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			l.add("list", list, options)
			return c.List(ctx, list, options...)
		},
	}
}

// TestGetForbidden checks that a user who may not list ReplicaSets and pods is shown the rollout, and what is missing.
func TestGetForbidden(t *testing.T) {
	b := interceptedBench(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		switch list.(type) {
		case *appsv1.ReplicaSetList:
			return apierrors.NewForbidden(appsv1.Resource("replicasets"), "", errors.New("no right"))
		case *corev1.PodList:
			return apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no right"))
		default:
			return c.List(ctx, list, options...)
		}
	}}, paused())
	code, out, errOut := b.run("get", "reviews")
	for _, part := range []string{"Status:     Paused, step 2/3\n", "not all is shown: replicasets.apps is forbidden: no right\n", "not all is shown: pods is forbidden: no right\n"} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("code %d, %q is missing in:\n%s%s", code, part, out, errOut)
		}
	}
}

func TestGet(t *testing.T) {
	requests := &lists{}
	b := interceptedBench(t, requests.funcs(), append(sets(), paused(), podOf("reviews-"+canaryRevision, "reviews-594c75879c-aaaaa"),
		podOf("ratings-1", "ratings"))...)
	code, out, errOut := b.run("get", "reviews")
	for _, part := range []string{
		"Status:     Paused, step 2/3\n", "Message:    paused until promoted: kubectl canary promote reviews -n shop\n",
		"  > 2  pause until promoted\n", "revision 594c75879c", "reviews-594c75879c-aaaaa",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing", part)
		}
	}
	if code != 0 || strings.Contains(out, "ratings") {
		t.Errorf("code %d, %s:\n%s", code, errOut, out)
	}
	want := []string{
		"list v1.Pod in shop by app=reviews,pod-template-hash", "list v1.ReplicaSet in shop by canaryrollout.dev/rollout=reviews",
	}
	if diff := cmp.Diff(want, requests.all()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, out, _ := b.run("get", "cro/reviews", "-o", "name"); out != "canaryrollout.canaryrollout.dev/reviews\n" {
		t.Errorf("-o name prints %q", out)
	}
	if _, out, _ := b.run("get", "reviews", "-o", "json"); decode(t, out)["kind"] != "CanaryRollout" {
		t.Errorf("-o json prints %q", out)
	}
	if code, _, errOut := b.run("get", "reviews", "-w", "-o", "json"); code != 1 || !strings.Contains(errOut, "kubectl get canaryrollout reviews -w -o json") {
		t.Errorf("-w -o json: %d %s", code, errOut)
	}
}

func TestNotFound(t *testing.T) {
	named := func(names ...string) []client.Object {
		var objects []client.Object
		for _, name := range names {
			object := resting()
			object.Name = name
			objects = append(objects, object)
		}
		return objects
	}
	for name, tc := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"none":    {nil, `there is no rollout "reviews" in namespace shop, and there is no other rollout in it: set the namespace with -n, or list all rollouts: kubectl canary list -A`},
		"some":    {named("ratings", "details"), `there is no rollout "reviews" in namespace shop; there is details, ratings`},
		"several": {named("a", "b", "c", "d", "e", "f"), `there is no rollout "reviews" in namespace shop; there are a, b, c, d, e and more: kubectl canary list -n shop`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"get", "history", "promote", "abort", "retry", "pause", "resume", "undo"} {
				code, _, errOut := newBench(t, tc.objects...).run(command, "reviews")
				if code != 1 || errOut != "error: "+tc.want+"\n" {
					t.Errorf("%s: code %d (-want +got):\n%s", command, code, cmp.Diff("error: "+tc.want+"\n", errOut))
				}
			}
		})
	}
}

// TestNotInstalled checks the error on a cluster without the CRD, given the API server's real response.
func TestNotInstalled(t *testing.T) {
	missing := apierrors.NewGenericServerResponse(http.StatusNotFound, "get", schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "canaryrollouts"},
		"reviews", "404 page not found", 0, true)
	b := interceptedBench(t, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return missing
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return missing },
	})
	for _, args := range []string{"get reviews", "list", "list -w", "list -o name", "status reviews", "abort reviews"} {
		code, _, errOut := b.run(strings.Fields(args)...)
		if want := "error: " + notInstalled + "\n"; code == 0 || errOut != want {
			t.Errorf("%s: code %d: %s", args, code, errOut)
		}
	}
}

func TestForbidden(t *testing.T) {
	b := interceptedBench(t, interceptor.Funcs{Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "canaryrollouts"}, "reviews", errors.New("no"))
	}}, paused())
	if code, _, errOut := b.run("promote", "reviews"); code != 1 || !strings.Contains(errOut, "for the role") {
		t.Errorf("code %d: %s", code, errOut)
	}
}

func TestListCommand(t *testing.T) {
	other := resting()
	other.Namespace = "bank"
	b := newBench(t, paused(), other)
	_, out, _ := b.run("list")
	want := "NAME     STATUS  STEP  WEIGHT  REVISION    READY  AGE  MESSAGE\n" +
		"reviews  Paused  2/3   10      594c75879c  3/3    60m  paused until promoted: kubectl canary promote reviews\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if _, out, _ := b.run("list", "-A"); strings.Count(out, "  reviews  ") != 2 || !strings.HasPrefix(out, "NAMESPACE") {
		t.Errorf("list -A: %s", out)
	}
	if _, out, errOut := b.run("list", "-A", "-o", "name"); out != strings.Repeat("canaryrollout.canaryrollout.dev/reviews\n", 2) {
		t.Errorf("list -o name: %s%s", out, errOut)
	}
	if code, out, errOut := newBench(t).run("list"); code != 0 || out != "" || errOut != "There are no rollouts in namespace shop: see all with -A.\n" {
		t.Errorf("empty: %d %s%s", code, out, errOut)
	}
}

func TestHistoryCommand(t *testing.T) {
	_, out, _ := newBench(t, paused()).run("history", "reviews")
	if !strings.Contains(out, "7d5c8b6f4x (stable)") || !strings.Contains(out, "594c75879c (current)") {
		t.Errorf("history: %s", out)
	}
	_, out, _ = newBench(t, paused(func(r *v1alpha1.CanaryRollout) {
		r.Status.StepHistory = []v1alpha1.StepHistoryEntry{{Step: 1, StartedAt: &metav1.Time{Time: r.CreationTimestamp.Time}}}
	})).run("history", "reviews", "--steps")
	if !strings.Contains(out, "setWeight 10") || !strings.Contains(out, "WAITED") {
		t.Errorf("history of the steps: %s", out)
	}
	none := newBench(t, resting(func(r *v1alpha1.CanaryRollout) { r.Status.History = nil }))
	if _, _, errOut := none.run("history", "reviews"); errOut != "Rollout reviews has no releases yet.\n" {
		t.Errorf("history: %s", errOut)
	}
}

// TestStatus checks the exit codes, and that a status older than the latest request is not taken as final.
func TestStatus(t *testing.T) {
	state := func(state v1alpha1.State) edit { return func(r *v1alpha1.CanaryRollout) { r.Status.State = state } }
	for name, tc := range map[string]struct {
		rollout *v1alpha1.CanaryRollout
		want    int
	}{
		"healthy":                    {resting(), exitHealthy},
		"aborted":                    {aborted(), exitFailed},
		"degraded":                   {paused(state(v1alpha1.StateDegraded)), exitFailed},
		"paused":                     {paused(), exitNotYet},
		"aborting":                   {aborted(state(v1alpha1.StateAborting)), exitNotYet},
		"healthy before the change":  {resting(func(r *v1alpha1.CanaryRollout) { r.Generation = 5 }), exitNotYet},
		"degraded before the change": {paused(state(v1alpha1.StateDegraded), func(r *v1alpha1.CanaryRollout) { r.Generation = 5 }), exitNotYet},
		"created just now":           {resting(func(r *v1alpha1.CanaryRollout) { r.Status = v1alpha1.CanaryRolloutStatus{} }), exitNotYet},
		"aborted, a retry is given":  {aborted(annotated(v1alpha1.RetryAnnotation, "true")), exitNotYet},
		"aborted, a retry is taken up": {aborted(func(r *v1alpha1.CanaryRollout) {
			r.Status.Memory.Command = &v1alpha1.CommandMemory{Command: v1alpha1.CommandRetry}
		}), exitNotYet},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := newBench(t, tc.rollout).run("status", "reviews")
			if code != tc.want || errOut != "" || strings.Count(out, "\n") != 1 {
				t.Errorf("code %d, want %d: %s%s", code, tc.want, out, errOut)
			}
		})
	}
	if code, _, errOut := newBench(t).run("status", "reviews"); code != exitUnknown || !strings.HasPrefix(errOut, "error: there is no rollout") {
		t.Errorf("not found: code %d, %s", code, errOut)
	}
	if code, _, errOut := newBench(t, resting()).run("status", "reviews", "--timeout=1s"); code != exitUnknown || errOut != "error: --timeout requires --wait\n" {
		t.Errorf("timeout alone: code %d, %s", code, errOut)
	}
}

// change stores a changed spec and status.
func (b *bench) change(edits ...edit) {
	b.t.Helper()
	object := b.get()
	for _, edit := range edits {
		edit(object)
	}
	status := object.Status.DeepCopy()
	if err := b.client.Update(b.t.Context(), object); err != nil {
		b.t.Fatal(err)
	}
	object.Status = *status
	if err := b.client.Status().Update(b.t.Context(), object); err != nil {
		b.t.Fatal(err)
	}
}

func TestStatusWait(t *testing.T) {
	b := newBench(t, paused())
	if code, out, _ := b.run("status", "reviews", "--wait", "--timeout=300ms"); code != exitNotYet || !strings.HasPrefix(out, "Paused") {
		t.Errorf("timeout: code %d: %s", code, out)
	}
	done := make(chan int)
	go func() {
		code, _, _ := b.run("status", "reviews", "--wait")
		done <- code
	}()
	b.change(func(r *v1alpha1.CanaryRollout) { r.Status.State, r.Generation = v1alpha1.StateHealthy, 9 }) // for the previous spec
	select {
	case code := <-done:
		t.Fatalf("it was fooled: code %d", code)
	case <-time.After(300 * time.Millisecond):
	}
	b.change(func(r *v1alpha1.CanaryRollout) { r.Status.ObservedGeneration = 9 })
	if code := <-done; code != exitHealthy {
		t.Errorf("code %d", code)
	}
}

func TestStatusWaitDeleted(t *testing.T) {
	b := newBench(t, paused())
	errOut := &safeBuffer{}
	b.options.ErrOut = errOut
	done := make(chan int)
	go func() {
		code, _, _ := b.run("status", "reviews", "--wait")
		done <- code
	}()
	waitForText(t, errOut, "Paused")
	if err := b.client.Delete(t.Context(), b.get()); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitUnknown {
		t.Errorf("code %d", code)
	}
}

// safeBuffer can be read by a test while a command writes to it.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func waitForText(t *testing.T, out *safeBuffer, text string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(out.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %q in:\n%s", text, out)
		}
	}
}

// watching runs a command that keeps running. wait waits until its output contains a text; stop presses Ctrl-C.
func watching(t *testing.T, b *bench, args ...string) (out *safeBuffer, wait func(string), stop func() int) {
	t.Helper()
	out = &safeBuffer{}
	b.options.Out = out
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		code, _, _ := b.runUntil(ctx, args...)
		done <- code
	}()
	return out, func(text string) { t.Helper(); waitForText(t, out, text) }, func() int {
		cancel()
		return <-done
	}
}

// TestWatch checks that without a terminal each change prints a block, and the passing of time prints none.
func TestWatch(t *testing.T) {
	requests := &lists{}
	b := interceptedBench(t, requests.funcs(), append(sets(), paused())...)
	tick := now
	var mu sync.Mutex
	b.options.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		tick = tick.Add(time.Minute)
		return tick
	}
	out, wait, stop := watching(t, b, "get", "reviews", "-w")
	wait("revision 66bd4k2vzq")
	if err := b.client.Create(t.Context(), podOf("reviews-"+canaryRevision, "reviews-new-pod")); err != nil {
		t.Fatal(err)
	}
	wait("reviews-new-pod")
	b.change(func(r *v1alpha1.CanaryRollout) { r.Status.State = v1alpha1.StatePromoting })
	wait("Status:     Promoting")
	time.Sleep(1200 * time.Millisecond) // more than one tick
	if got := strings.Count(out.String(), "Name: "); got != 3 {
		t.Errorf("%d blocks, want 3:\n%s", got, out)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("escape codes without a terminal")
	}
	if code := stop(); code != 0 {
		t.Errorf("code %d after Ctrl-C", code)
	}
	want := []string{
		"list v1.Pod in shop by app=reviews,pod-template-hash", "list v1.ReplicaSet in shop by canaryrollout.dev/rollout=reviews",
		"list v1alpha1.CanaryRollout in shop by metadata.name=reviews",
	}
	if diff := cmp.Diff(want, requests.all()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestWatchInTerminal checks that frames are drawn over each other, and that the last one stays.
func TestWatchInTerminal(t *testing.T) {
	b := newBench(t, append(sets(), paused())...)
	b.options.Size = func() (int, int, bool) { return 80, 12, true }
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	out, wait, _ := watching(t, b, "get", "reviews", "-w")
	wait("more lines")
	if err := b.client.Delete(t.Context(), b.get()); err != nil {
		t.Fatal(err)
	}
	wait("rollout reviews was deleted\n")
	text := out.String()
	if !strings.HasPrefix(text, enterScreen+home) || strings.Count(text, leaveScreen) != 1 || strings.Contains(text, "\x1b[2J") {
		t.Errorf("the screen is not handled well: %q", text)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(text, enterScreen+home), home)
	if lines := strings.Count(first, "\r\n"); lines != 11 || strings.Count(first, clearLine) != 12 || !strings.HasSuffix(first, clearBelow) {
		t.Errorf("a frame of %d lines: %q", lines, first)
	}
	if !strings.Contains(first, "‖ Paused") {
		t.Errorf("no icon: %q", first)
	}
}

// TestNoColor checks that colors and icons can be disabled.
func TestNoColor(t *testing.T) {
	b := newBench(t, paused())
	b.options.Size = func() (int, int, bool) { return 80, 24, true }
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if _, out, _ := b.run("get", "reviews"); !strings.Contains(out, "\x1b[") {
		t.Error("no colour in a terminal")
	}
	if _, out, _ := b.run("get", "reviews", "--no-color"); strings.Contains(out, "\x1b[") || strings.Contains(out, "‖") {
		t.Error("colour in spite of --no-color")
	}
	b.options.noColor = false
	t.Setenv("NO_COLOR", "1")
	if _, out, _ := b.run("get", "reviews"); strings.Contains(out, "\x1b[") || strings.Contains(out, "‖") {
		t.Error("colour in spite of NO_COLOR")
	}
}

// TestWatchGoesOn checks that a watch that the API server ends is restarted, and that a failure to reach it is shown.
func TestWatchGoesOn(t *testing.T) {
	var mu sync.Mutex
	broken := false
	b := interceptedBench(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		mu.Lock()
		defer mu.Unlock()
		if _, isPods := list.(*corev1.PodList); isPods && !broken {
			broken = true
			return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("not yours"))
		}
		return c.List(ctx, list, options...)
	}}, append(sets(), paused(), podOf("reviews-"+canaryRevision, "the-pod"))...)
	_, wait, stop := watching(t, b, "get", "reviews", "-w")
	wait("the above may be out of date")
	wait("the-pod")
	stop()
}

func TestWatchList(t *testing.T) {
	b := newBench(t)
	_, wait, stop := watching(t, b, "list", "-w")
	wait("There are no rollouts in namespace shop")
	object := paused()
	if err := b.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	wait("reviews  Paused")
	if code := stop(); code != 0 {
		t.Errorf("code %d after Ctrl-C", code)
	}
}

func TestCompletion(t *testing.T) {
	other := resting()
	other.Name = "ratings"
	b := newBench(t, append(sets(), paused(), other)...)
	for line, want := range map[string]string{
		"get ": "ratings reviews :4", "promote re": "reviews :4", "get reviews ": ":4",
		"undo reviews --to-revision ": "594c75879c 66bd4k2vzq 7d5c8b6f4x :4", "undo reviews --to-revision 5": "594c75879c :4",
		"set image r": "ratings reviews :4", "set image reviews ": "app= migrate= proxy= :6", "set image reviews app=": "app= app=reviews:2 :6",
		"abort reviews --dry-run=": "none client server :4", "list ": ":4",
	} {
		_, out, _ := b.runCompletion(strings.Split(line, " ")...)
		var got []string
		for line := range strings.Lines(out) {
			got = append(got, strings.TrimSpace(line))
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// runCompletion requests completions as a shell does, with the cursor at the end of the last argument.
func (b *bench) runCompletion(args ...string) (code int, out, errOut string) {
	b.t.Helper()
	b.out.Reset()
	command := NewCommand(b.options)
	command.SetArgs(append([]string{"__complete", "-n", "shop"}, args...))
	code = Run(b.t.Context(), command)
	return code, b.out.String(), ""
}

func TestVersionAndHelp(t *testing.T) {
	b := newBench(t)
	if _, out, _ := b.run("version"); !strings.Contains(out, "API canaryrollout.dev/v1alpha1\n") {
		t.Errorf("version: %s", out)
	}
	if _, out, _ := b.run("help"); !strings.Contains(out, "kubectl canary [command]") {
		t.Errorf("help: %s", out)
	}
	if _, out, _ := b.run("completion", "bash"); !strings.Contains(out, "kubectl-canary") {
		t.Errorf("completion: %s", out)
	}
	if code, _, errOut := b.run("promot"); code != 1 || !strings.Contains(errOut, "promote") {
		t.Errorf("a typo: %s", errOut)
	}
}
