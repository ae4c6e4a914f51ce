// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestNoisyNeighbor checks that what one rollout asks for cannot stop the measurements of the others: only an answer that shows a
// problem of the whole provider makes the manager leave it alone for a while.
func TestNoisyNeighbor(t *testing.T) {
	const slow = `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`
	for name, tc := range map[string]struct {
		kind        string
		status      int
		body        string
		isLeftAlone bool
	}{
		"a slow query":             {"prometheus", 503, slow, false},
		"a failed execution":       {"prometheus", 422, `{"status":"error","errorType":"execution","error":"x"}`, false},
		"an internal error":        {"prometheus", 500, `{"status":"error","errorType":"internal","error":"x"}`, false},
		"a Prometheus that starts": {"prometheus", 503, "Service Unavailable", true},
		"no Prometheus behind":     {"prometheus", 502, "", true},
		"too many queries":         {"prometheus", 429, "", true},
		"a broken path":            {"web", 500, "{}", false},
		"a path without code":      {"web", 501, "{}", false},
		"an unknown path":          {"web", 404, "{}", false},
		"too many requests":        {"web", 429, "{}", true},
		"no server behind":         {"web", 502, "{}", true},
		"a server that restarts":   {"web", 503, slow, true},
		"a server that hangs":      {"web", 504, "{}", true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1) > 1 {
					_, _ = w.Write([]byte(one)) // as good as any other document
					return
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			t.Cleanup(server.Close)
			p := named(t, "{name: default, "+tc.kind+": {url: '"+server.URL+"'}}")
			measure := func() plan.Measured {
				if tc.kind == "web" {
					return p.web(t.Context(), &plan.WebRequest{Path: "/", Condition: "true"})
				}
				return p.threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"})
			}
			if got := measure(); got.Outcome != plan.OutcomeError {
				t.Errorf("measured %+v", got)
			}
			neighbor := measure()
			if isLeftAlone := neighbor.Outcome == plan.OutcomeError; isLeftAlone != tc.isLeftAlone || (asked.Load() == 1) != tc.isLeftAlone {
				t.Errorf("%d requests; the other rollout has %+v, %+v", asked.Load(), neighbor, neighbor.Problem)
			}
		})
	}
}

// TestOneTrial checks that a provider that is down gets one request at a time, and none before the back-off has passed, however
// other requests end.
func TestOneTrial(t *testing.T) {
	b, at := &breaker{}, time.Now()
	enter := func(wantTrial bool, wantWhy string) {
		t.Helper()
		if isTrial, why := b.enter(at); isTrial != wantTrial || why != wantWhy {
			t.Fatalf("trial %t, %q, want %t, %q", isTrial, why, wantTrial, wantWhy)
		}
	}
	for range 3 {
		enter(false, "")
	}
	b.leave(false, "first", at)
	enter(false, "first")
	at = at.Add(minBackOff)
	enter(true, "")
	b.leave(false, "second", at) // it was sent before the first one failed
	b.cancel(false, at)
	enter(false, "first")
	b.cancel(true, at)
	enter(false, "first")
	at = at.Add(minBackOff)
	enter(true, "")
	if b.leave(true, "third", at) {
		t.Error("a provider that is still down is no news")
	}
	at = at.Add(minBackOff)
	enter(false, "third")
	at = at.Add(minBackOff) // the back-off has doubled once
	enter(true, "")
	if !b.leave(true, "", at) {
		t.Error("a provider that answers again is news")
	}
	enter(false, "")
}

// TestQueryTimeout checks that Prometheus stops a slow query before the request ends: a provider that does not answer is left alone.
func TestQueryTimeout(t *testing.T) {
	var asked atomic.Pointer[string]
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		timeout := r.FormValue("timeout")
		asked.Store(&timeout)
		_, _ = w.Write([]byte(one))
	})
	p.threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"})
	seconds, err := strconv.ParseFloat(*asked.Load(), 64)
	if limit := p.Timeout.Seconds(); err != nil || seconds > limit-1 || seconds < limit/2 {
		t.Errorf("a query has %g of %g seconds, %v", seconds, limit, err)
	}
}

// TestServerErrorsFail checks that the alert on a provider that is down also sees one that answers everything with an error, and
// does not take a query that is too slow for that.
func TestServerErrorsFail(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(server.Close)
	p := named(t, "{name: broken, web: {url: '"+server.URL+"'}}")
	p.web(t.Context(), &plan.WebRequest{Path: "/", Condition: "true"})
	wantCounted(t, "broken", "Failed")
	slow := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"timeout","error":"query timed out"}`))
	})
	slow.Name = "slow"
	slow.threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"})
	wantCounted(t, "slow", "Answered")
}

// wantCounted checks the outcome that a provider's only request is counted with.
func wantCounted(t *testing.T, provider, outcome string) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if text := series.String(); strings.HasSuffix(family.GetName(), "metric_provider_requests_total") && strings.Contains(text, `"`+provider+`"`) {
				if !strings.Contains(text, `"`+outcome+`"`) {
					t.Errorf("counted as %s", text)
				}
				return
			}
		}
	}
	t.Error("not counted")
}
