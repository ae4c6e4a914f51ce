// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

// run sends about n requests to a handler.
func run(t *testing.T, n int, options Options, handler http.HandlerFunc) *Generator {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	options.URL, options.Rate = server.URL, 200
	g := Start(t.Context(), options)
	for deadline := time.Now().Add(5 * time.Second); g.Total().Sent < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%s after 5 s", g.Total())
		}
	}
	g.Stop()
	return g
}

func TestEveryWayToFailIsCounted(t *testing.T) {
	var i atomic.Int32
	g := run(t, 40, Options{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(backend.PodHeader, "a")
		switch i.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusBadGateway)
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			<-r.Context().Done() // longer than the timeout
		case 3:
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "short")
		}
	})
	total := g.Total()
	if total.Failed != total.Sent || len(g.Failures()) != total.Sent {
		t.Errorf("not all failed: %s", total)
	}
	if total.Latency(0.5) != 0 || len(total.ByVersion) != 0 {
		t.Errorf("a failure counts as an answer: %s", total)
	}
}

// When a kept-alive connection is dead, the HTTP client retries and succeeds. The first request was still lost.
func TestARetryIsALoss(t *testing.T) {
	var i atomic.Int32
	g := run(t, 20, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		if i.Add(1)%5 != 0 {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	retried := g.Results(func(r Result) bool { return errors.Is(r.Err, errRetried) })
	if len(retried) == 0 {
		t.Errorf("no retry was seen: %s, failures %v", g.Total(), g.Failures())
	}
}

func TestOverloadIsReported(t *testing.T) {
	g := run(t, 5, Options{MaxInFlight: 1}, func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) })
	total := g.Total()
	if total.Skipped == 0 || total.Rate > 100 {
		t.Errorf("one slot of 50 ms cannot carry 200/s: %s", total)
	}
}

func TestRateIsHeld(t *testing.T) {
	g := run(t, 100, Options{}, func(http.ResponseWriter, *http.Request) {})
	if total := g.Total(); total.Rate < 180 || total.Rate > 220 || total.Failed+total.Skipped > 0 {
		t.Errorf("wanted 200/s: %s", total)
	}
}

func TestStreams(t *testing.T) {
	g := run(t, 100, Options{
		Streams: []Stream{{Name: "qa", Share: 0.5, Headers: map[string]string{"role": "qa"}}},
	}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(backend.VersionHeader, r.Header.Get("role"))
	})
	qa, all := g.Window(time.Time{}, time.Now(), "qa"), g.Total()
	if qa.Share("qa") != 1 || all.ByVersion["qa"] != qa.Sent {
		t.Errorf("the header did not go with its stream: %s, %s", qa, all)
	}
}

// TestStreamsKeepNoStep: each stream has its share, even among every second, fifth and tenth request.
func TestStreamsKeepNoStep(t *testing.T) {
	const requests = 20_000
	choose := newChooser([]Stream{{Name: "qa", Share: 0.1}, {Name: "eu", Share: 0.25}})
	var chosen []string
	for range requests {
		chosen = append(chosen, choose.next().Name)
	}
	for _, step := range []int{1, 2, 5, 10} {
		counts := map[string]float64{}
		for i := 0; i < requests; i += step {
			counts[chosen[i]] += float64(step) / requests
		}
		for name, want := range map[string]float64{"": 0.65, "qa": 0.1, "eu": 0.25} {
			if got := counts[name]; math.Abs(got-want) > 0.05 {
				t.Errorf("%q is %.3f of every request number %d, want %.2f", name, got, step, want)
			}
		}
	}
}

func TestWindowCountsByStartAndVersion(t *testing.T) {
	began := time.Unix(1000, 0)
	g := &Generator{began: began, ended: began.Add(10 * time.Second)}
	for i := range 10 {
		version := "v1"
		if i%5 == 0 {
			version = "v2"
		}
		g.results = append(g.results, Result{Start: began.Add(time.Duration(i) * time.Second), Version: version,
			Duration: time.Duration(i+1) * time.Millisecond})
	}
	s := g.Window(began, began.Add(10*time.Second))
	if s.Sent != 10 || s.Share("v2") != 0.2 || s.Rate != 1 {
		t.Errorf("all: %s", s)
	}
	if s.Latency(0.5) != 6*time.Millisecond || s.Latency(0.99) != 10*time.Millisecond || s.Latency(1) != 10*time.Millisecond {
		t.Errorf("latencies: %s", s)
	}
	if s = g.Window(began.Add(5*time.Second), began.Add(6*time.Second)); s.Sent != 1 || s.Share("v2") != 1 {
		t.Errorf("the sixth second: %s", s)
	}
}

func TestFailureNamesThePodThatTheGatewayChose(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	lines := `{"request_X-Request-Id":"a-1","ServiceAddr":"10.244.0.7:9080"}
{"request_X-Request-Id":"a-2","ServiceAddr":"10.244.0.8:9080"}
{"request_X-Req`
	if err := os.WriteFile(log, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Generator{options: Options{AccessLog: log, PodAt: func(ip string) string { return "pod at " + ip }}}
	g.results = []Result{{ID: "a-1", Err: errRetried}, {ID: "a-2"}, {ID: "a-3", Err: errRetried}}
	failures := g.Failures()
	if len(failures) != 2 || failures[0].Pod != "pod at 10.244.0.7" || failures[1].Pod != "" {
		t.Errorf("%v", failures)
	}
}
