// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// watchable is an API server whose watches last, and in which nothing changes.
type watchable struct {
	mu    sync.Mutex
	asked []string
	// open counts the watches by path.
	open map[string]int
}

func (s *watchable) serve(t *testing.T, lists map[string]any) *httptest.Server {
	s.open = map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		query.Del("resourceVersion")
		s.note(func() { s.asked = append(s.asked, strings.TrimSuffix(r.URL.Path+"?"+query.Encode(), "?")) })
		w.Header().Set("Content-Type", "application/json")
		if query.Get("watch") == "" {
			if err := json.NewEncoder(w).Encode(lists[r.URL.Path]); err != nil {
				t.Error(err)
			}
			return
		}
		s.note(func() { s.open[r.URL.Path]++ })
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the client has gone
		<-r.Context().Done()
		s.note(func() { s.open[r.URL.Path]-- })
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // a watch would keep it from closing
		server.Close()
	})
	return server
}

func (s *watchable) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// waitForWatches waits until so many watches are open.
func (s *watchable) waitForWatches(t *testing.T, want int) {
	t.Helper()
	for range 100 {
		sum := 0
		s.note(func() {
			for _, count := range s.open {
				sum += count
			}
		})
		if sum == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("there are not %d watches, but %v", want, s.open)
}

func listOf(group, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: group, Kind: kind + "List"}
}

// TestDashboardRequests checks that the dashboard asks the API server for what its pages show, once for all of them, and for nothing
// else; and that it stops when a page is closed.
func TestDashboardRequests(t *testing.T) {
	const all, shop = "/apis/canaryrollout.dev/v1alpha1/canaryrollouts", "/namespaces/shop"
	api := &watchable{}
	server := api.serve(t, map[string]any{
		all:                                     &v1alpha1.CanaryRolloutList{TypeMeta: listOf("canaryrollout.dev/v1alpha1", "CanaryRollout"), Items: []v1alpha1.CanaryRollout{*paused()}},
		"/apis/apps/v1" + shop + "/replicasets": &appsv1.ReplicaSetList{TypeMeta: listOf("apps/v1", "ReplicaSet")},
		"/api/v1" + shop + "/pods":              &corev1.PodList{TypeMeta: listOf("v1", "Pod")},
		"/api/v1" + shop + "/events":            &corev1.EventList{TypeMeta: listOf("v1", "Event")},
	})
	out, in := io.Pipe()
	command := NewCommand(NewOptions(genericiooptions.IOStreams{In: strings.NewReader(""), Out: in, ErrOut: in}))
	command.SetArgs([]string{"dashboard", "-s", server.URL, "--cache-dir", t.TempDir()})
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), command) }()
	t.Cleanup(func() { <-ended })
	browser := openDashboard(t, out)

	closeFirst := browser.open("/api/rollouts", "event: list")
	closeSecond := browser.open("/api/rollouts", "event: list")
	closePage := browser.open("/api/rollouts/shop/reviews", "event: page")
	api.waitForWatches(t, 4)
	closePage()
	api.waitForWatches(t, 1)
	closeFirst()
	closeSecond()

	sets, pods, events := "/apis/apps/v1"+shop+"/replicasets?labelSelector=canaryrollout.dev%2Frollout%3Dreviews",
		"/api/v1"+shop+"/pods?labelSelector=app%3Dreviews%2Cpod-template-hash", "/api/v1"+shop+"/events?fieldSelector=involvedObject.uid%3D7"
	want := []string{
		all + "?limit=1", all, all + "?watch=true",
		sets, sets + "&watch=true", pods, pods + "&watch=true", events, events + "&watch=true",
	}
	slices.Sort(want)
	api.note(func() {
		slices.Sort(api.asked)
		if diff := cmp.Diff(want, api.asked); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// dashboardBrowser is a browser that has opened a dashboard.
type dashboardBrowser struct {
	t           *testing.T
	url, cookie string
}

// openDashboard opens the URL that the command prints.
func openDashboard(t *testing.T, printed io.Reader) *dashboardBrowser {
	t.Helper()
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		url := strings.TrimSpace(lines.Text())
		if !strings.HasPrefix(url, "http://") {
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, printed) }()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		base, _, _ := strings.Cut(url, "/?")
		cookie, _, _ := strings.Cut(response.Header.Get("Set-Cookie"), ";")
		return &dashboardBrowser{t: t, url: base, cookie: cookie}
	}
	t.Fatal("no URL was printed")
	return nil
}

// open opens a stream and waits for an event. It returns a function that closes the stream.
func (b *dashboardBrowser) open(path, event string) (closeStream func()) {
	b.t.Helper()
	ctx, stop := context.WithCancel(b.t.Context())
	b.t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Cookie", b.cookie)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() == event {
			return stop
		}
	}
	b.t.Fatalf("%s ended without %q: status %d", path, event, response.StatusCode)
	return nil
}
