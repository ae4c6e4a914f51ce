// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

const (
	stableRevision = "7d5c8b6f4x"
	canaryRevision = "594c75879c"
)

var now = time.Date(2030, 5, 17, 10, 30, 0, 0, time.UTC)

type edit = func(*v1alpha1.CanaryRollout)

// paused returns a rollout with a canary, paused at step 2/3.
func paused(t *testing.T, edits ...edit) *v1alpha1.CanaryRollout {
	t.Helper()
	object := &v1alpha1.CanaryRollout{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CanaryRollout"},
		ObjectMeta: metav1.ObjectMeta{Name: "reviews", Namespace: "shop", UID: "7", Generation: 4, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec: v1alpha1.CanaryRolloutSpec{
			Replicas: ptr.To[int32](3), Selector: v1alpha1.PodSelector{MatchLabels: map[string]string{"app": "reviews"}},
			Template: builder.Template(corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "reviews"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "reviews:2", Args: []string{"--secret"}}}},
			}),
			Traffic: v1alpha1.Traffic{
				StableService: "reviews-stable", CanaryService: "reviews-canary", Routes: []v1alpha1.RouteReference{{Kind: "HTTPRoute", Name: "reviews"}},
			},
			Steps: []v1alpha1.Step{{SetWeight: ptr.To[int32](10)}, {Pause: &v1alpha1.Pause{}}, {SetWeight: ptr.To[int32](50)}},
		},
		Status: v1alpha1.CanaryRolloutStatus{
			ObservedGeneration: 4, State: v1alpha1.StatePaused, Step: "2/3", Weight: "10", Revision: canaryRevision, Ready: "4/4",
			RevisionWeight: &v1alpha1.RevisionWeight{Verified: 10, Desired: 10},
			Traffic:        &v1alpha1.TrafficStatus{DesiredWeight: 10, VerifiedWeight: 10},
			Message:        "paused until promoted: kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/promote=true",
			Stable:         &v1alpha1.RevisionStatus{Revision: stableRevision, Desired: 3, Ready: 3},
			Canary:         &v1alpha1.RevisionStatus{Revision: canaryRevision, Desired: 1, Ready: 1},
			Memory: &v1alpha1.Memory{
				StableRevision: stableRevision, CurrentRevision: canaryRevision, Phase: v1alpha1.PhaseStepping, StepIndex: 1, StepsHash: "seen",
				StableService: v1alpha1.ServiceMemory{Name: "reviews-stable", Revision: stableRevision, Selected: true, Narrowed: true},
				CanaryService: v1alpha1.ServiceMemory{Name: "reviews-canary", Revision: canaryRevision, Selected: true, Narrowed: true},
				StepTargets:   v1alpha1.StepTargetsMemory{Weight: 10}, Traffic: v1alpha1.TrafficMemory{Weight: 10, VerifiedWeight: 10},
			},
		},
	}
	for _, edit := range edits {
		edit(object)
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := revision.Hash(revision.Template(&unstructured.Unstructured{Object: raw}))
	if err != nil {
		t.Fatal(err)
	}
	object.Status.Memory.Template = v1alpha1.TemplateMemory{Hash: hash, Revision: canaryRevision}
	return object
}

// bench is a dashboard of an in-memory API server, and a browser that has opened it.
type bench struct {
	t      *testing.T
	client client.WithWatch
	// url is the URL without a path, first the one with the token. cookie is what it is exchanged for.
	url, first, cookie string
	browser            *http.Client
}

func newBench(t *testing.T, options Options, funcs interceptor.Funcs, objects ...client.Object) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{t: t}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.CanaryRollout{}).
		WithIndex(&corev1.Event{}, "involvedObject.uid", func(object client.Object) []string {
			return []string{string(object.(*corev1.Event).InvolvedObject.UID)}
		}).WithInterceptorFuncs(funcs).Build()
	options.Client = b.client
	if options.Now == nil {
		options.Now = func() time.Time { return now }
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, opened := make(chan error, 1), make(chan string, 1)
	go func() {
		ended <- Run(t.Context(), listener, options, func(url string) error {
			opened <- url
			return nil
		})
	}()
	select {
	case b.first = <-opened:
	case err := <-ended:
		t.Fatal(err)
	}
	b.url = "http://" + listener.Addr().String()
	b.browser = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() { // the context of the test has ended
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	status, head, _ := b.do(http.MethodGet, b.first, nil, nil)
	if status != http.StatusOK {
		t.Fatalf("the first URL: status %d", status)
	}
	b.cookie, _, _ = strings.Cut(head.Get("Set-Cookie"), ";")
	return b
}

func (b *bench) do(method, url string, body any, change func(*http.Request)) (status int, header http.Header, content string) {
	b.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(encoded))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Cookie", b.cookie)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(csrfHeader, "1")
	}
	if change != nil {
		change(request)
	}
	response, err := b.browser.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(read)
}

func (b *bench) get(url string, change func(*http.Request)) (status int, content string) {
	b.t.Helper()
	status, _, content = b.do(http.MethodGet, url, nil, change)
	return status, content
}

// events opens a stream. The returned function decodes the next event of a name into a value.
func (b *bench) events(path string) (next func(name string, into any)) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.t.Context(), 20*time.Second)
	b.t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Cookie", b.cookie)
	response, err := b.browser.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		b.t.Fatalf("%s: status %d, type %q", path, response.StatusCode, kind)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return func(name string, into any) {
		b.t.Helper()
		current := ""
		for lines.Scan() {
			if event, is := strings.CutPrefix(lines.Text(), "event: "); is {
				current = event
			}
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is && current == name {
				if err := json.Unmarshal([]byte(data), into); err != nil {
					b.t.Fatalf("%v: %s", err, data)
				}
				return
			}
		}
		b.t.Fatalf("the stream ended before an event %q: %v", name, lines.Err())
	}
}

// stored returns the rollout as the API server has it.
func (b *bench) stored() *v1alpha1.CanaryRollout {
	b.t.Helper()
	object := &v1alpha1.CanaryRollout{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: "reviews"}, object); err != nil {
		b.t.Fatal(err)
	}
	return object
}
