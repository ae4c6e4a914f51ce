// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

var reviews = types.NamespacedName{Namespace: "shop", Name: "reviews"}

// gateway answers for a and b, in turn: b gets so many of each ten requests.
type gateway struct {
	*httptest.Server
	toB, asked atomic.Int64
	host       atomic.Value
}

func newGateway(t *testing.T, toB int64) *gateway {
	t.Helper()
	g := &gateway{}
	g.toB.Store(toB)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.host.Store(r.Host)
		revision := "a"
		if g.asked.Add(1)%10 < g.toB.Load() {
			revision = "b"
		}
		w.Header().Set("X-Revision", revision)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) request(weight int32) *Request {
	return &Request{
		ProbeRequest: plan.ProbeRequest{Weight: weight, Stable: "a", Canary: "b", CarriedAt: 1},
		Probe:        v1alpha1.Probe{URL: g.URL + "/reviews", Host: "www.bookinfo.com", RevisionHeader: "x-revision"},
	}
}

// started is a Prober that ends with the test.
func started(t *testing.T) *Prober {
	t.Helper()
	p := NewProber()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- p.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// told waits for news of the rollout.
func told(t *testing.T, p *Prober) {
	t.Helper()
	select {
	case news := <-p.News():
		if got := news.Object; got.GetNamespace() != reviews.Namespace || got.GetName() != reviews.Name {
			t.Fatalf("news of %s/%s", got.GetNamespace(), got.GetName())
		}
	case <-time.After(time.Minute):
		t.Fatal("no news within a minute")
	}
}

// TestMeasure: what does not fit is told once, and measured again until it fits; then nothing is asked any more.
func TestMeasure(t *testing.T) {
	g, p := newGateway(t, 5), started(t)
	want := g.request(20)
	p.Measure(t.Context(), reviews, want)
	p.Measure(t.Context(), reviews, g.request(20)) // goes on
	told(t, p)
	if got := p.Result(reviews); got.Fits || got.ProbeRequest != want.ProbeRequest || got.Pending != "50 of 100 requests of the probe reached the canary, which is not 20 %" {
		t.Errorf("result %+v", got)
	}
	g.toB.Store(2)
	told(t, p)
	if got := p.Result(reviews); !got.Fits || got.Pending != "" {
		t.Errorf("result %+v", got)
	}
	if got := g.host.Load(); got != "www.bookinfo.com" {
		t.Errorf("the host was %s", got)
	}
	asked := g.asked.Load()
	if asked%sample != 0 {
		t.Errorf("%d requests are no whole samples", asked)
	}
	p.Measure(t.Context(), reviews, nil)
	if got := p.Result(reviews); got != (plan.Probe{}) {
		t.Errorf("what is not wanted any more has the result %+v", got)
	}
}

// TestMeasureAnew: another request ends the former one.
func TestMeasureAnew(t *testing.T) {
	g, p := newGateway(t, 5), started(t)
	p.Measure(t.Context(), reviews, g.request(20))
	p.Measure(t.Context(), reviews, g.request(50))
	told(t, p)
	if got := p.Result(reviews); !got.Fits || got.Weight != 50 {
		t.Errorf("result %+v", got)
	}
	if asked := g.asked.Load(); asked > sample+1 {
		t.Errorf("%d requests: the former measurement went on", asked)
	}
}

// TestMeasureEnds ends a measurement while requests are under way: the race detector sees to it that none of them counts
// any more when the sample is over.
func TestMeasureEnds(t *testing.T) {
	const underWay = 5
	asked := make(chan struct{}, sample)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	p := started(t)
	p.Measure(t.Context(), reviews, &Request{Probe: v1alpha1.Probe{URL: server.URL, RevisionHeader: "x-revision"}})
	for range underWay {
		<-asked
	}
	p.Measure(t.Context(), reviews, nil)
	if got := p.Result(reviews); got != (plan.Probe{}) {
		t.Errorf("what ended has the result %+v", got)
	}
}

// TestFailures: who is not there, and who does not say which revision answers, proves nothing.
func TestFailures(t *testing.T) {
	silent := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(silent.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tc := range map[string]struct{ url, want string }{
		"no header": {silent.URL, "100 of 100 requests of the probe failed: the answer, 302 Found, has no header X-Revision"},
		"nobody":    {gone.URL, "connection refused"},
		"no URL":    {"http://%", "invalid URL escape"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := started(t)
			p.Measure(t.Context(), reviews, &Request{Probe: v1alpha1.Probe{URL: tc.url, RevisionHeader: "X-Revision"}})
			told(t, p)
			if got := p.Result(reviews); got.Fits || !strings.Contains(got.Pending, tc.want) {
				t.Errorf("result %+v, want %q", got, tc.want)
			}
		})
	}
}

// TestCompare holds a sample against a weight.
func TestCompare(t *testing.T) {
	for name, tc := range map[string]struct {
		weight         int32
		stable, canary string
		counted        map[string]int
		want           string
	}{
		"none":             {0, "a", "b", map[string]int{"a": 100}, ""},
		"one of none":      {0, "a", "b", map[string]int{"a": 99, "b": 1}, "1 of 100 requests of the probe reached the canary, which is not 0 %"},
		"all":              {100, "a", "b", map[string]int{"b": 100}, ""},
		"one not of all":   {100, "a", "b", map[string]int{"a": 1, "b": 99}, "99 of 100"},
		"within":           {20, "a", "b", map[string]int{"a": 70, "b": 30}, ""},
		"beyond":           {20, "a", "b", map[string]int{"a": 69, "b": 31}, "31 of 100"},
		"below":            {20, "a", "b", map[string]int{"a": 91, "b": 9}, "9 of 100"},
		"one revision":     {100, "b", "b", map[string]int{"b": 100}, ""},
		"another revision": {0, "b", "b", map[string]int{"a": 1, "b": 99}, `1 of 100 requests of the probe were answered by "a", which is neither revision`},
		"no answer at all": {0, "a", "b", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := Request{ProbeRequest: plan.ProbeRequest{Weight: tc.weight, Stable: tc.stable, Canary: tc.canary}}
			if got := (count{byRevision: tc.counted}).compare(request); got != tc.want && (tc.want == "" || !strings.HasPrefix(got, tc.want)) {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}
