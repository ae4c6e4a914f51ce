// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

var reviews = types.NamespacedName{Namespace: "shop", Name: "reviews"}

// gateway answers for a and b in turn: b gets a given number of every ten requests.
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

// local allows servers on loopback addresses, which is possible only in tests.
func local(t *testing.T) Allow {
	t.Helper()
	allow, err := ParseAllow("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	allow.isDenied = func(netip.Addr) bool { return false }
	return allow
}

// started returns a running Prober that stops with the test.
func started(t *testing.T) *Prober {
	t.Helper()
	p := NewProber(local(t))
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

// waitForResult waits for a result of the rollout.
func waitForResult(t *testing.T, p *Prober) {
	t.Helper()
	select {
	case result := <-p.Results():
		if got := result.Object; got.GetNamespace() != reviews.Namespace || got.GetName() != reviews.Name {
			t.Fatalf("result of %s/%s", got.GetNamespace(), got.GetName())
		}
	case <-time.After(time.Minute):
		t.Fatal("no result within a minute")
	}
}

// TestMeasure checks that a mismatch is reported once and measured again until it matches, and that no requests are
// sent after that.
func TestMeasure(t *testing.T) {
	g, p := newGateway(t, 5), started(t)
	want := g.request(20)
	p.Measure(t.Context(), reviews, want)
	p.Measure(t.Context(), reviews, g.request(20)) // continues
	waitForResult(t, p)
	if got := p.Result(reviews); got.Fits || got.ProbeRequest != want.ProbeRequest || got.Pending != "50 of 100 requests of the probe reached the canary, which is not 20 %" {
		t.Errorf("result %+v", got)
	}
	g.toB.Store(2)
	waitForResult(t, p)
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
		t.Errorf("a measurement that was stopped has the result %+v", got)
	}
}

// TestMeasureAgain checks that a different request replaces the previous one.
func TestMeasureAgain(t *testing.T) {
	g, p := newGateway(t, 5), started(t)
	p.Measure(t.Context(), reviews, g.request(20))
	p.Measure(t.Context(), reviews, g.request(50))
	waitForResult(t, p)
	if got := p.Result(reviews); !got.Fits || got.Weight != 50 {
		t.Errorf("result %+v", got)
	}
	if asked := g.asked.Load(); asked > sample+1 {
		t.Errorf("%d requests: the former measurement went on", asked)
	}
}

// TestMeasureEnds stops a measurement while requests are in flight. The race detector verifies that none of them is
// counted after the sample has ended.
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

// answering starts a server that gives the same answer to every request.
func answering(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

// longHandshake starts a server whose certificates have 240 KiB, which crypto/tls would read.
func longHandshake(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	certificate.Certificate = append(slices.Clone(certificate.Certificate), make([]byte, 240<<10))
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestFailures checks that a server that is absent, or that does not say which revision answers, proves nothing.
// Nothing that a server sends is shown, because users who cannot reach the server can read a status.
func TestFailures(t *testing.T) {
	const secret = "s3cr3t"
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	raw := func(answer string) string {
		return answering(t, func(w http.ResponseWriter, _ *http.Request) {
			connection, buffered, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = buffered.WriteString(answer)
			_ = buffered.Flush()
			_ = connection.Close()
		})
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	broken := "the connection broke, or the response is not HTTP, or its header is larger than 16 KiB"
	for name, tc := range map[string]struct{ url, want string }{
		"no header":         {answering(t, http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP), "100 of 100 requests of the probe failed: the response, with status 302, has no header X-Revision"},
		"a status in words": {raw("HTTP/1.1 500 " + secret + "\r\n\r\n"), "the response, with status 500, has no header X-Revision"},
		"no HTTP":           {raw(secret + "\r\n\r\n"), broken},
		"a long header":     {raw("HTTP/1.1 200 OK\r\nX-Revision: " + strings.Repeat(secret, maxHeader) + "\r\n\r\n"), broken},
		"a long handshake":  {longHandshake(t, secure.TLS.Certificates[0]), "the server sent more than 48 KiB before the end of its header"},
		"another revision":  {raw("HTTP/1.1 200 OK\r\nX-Revision: " + secret + "\r\n\r\n"), "100 of 100 requests of the probe were answered by neither revision"},
		"nobody":            {gone.URL, "connection refused"},
		"a certificate":     {secure.URL, "the certificate is not accepted"},
		"no URL":            {"http://%", "traffic.probe.url is not the URL of a page"},
		"another scheme":    {"file:///etc/passwd", "traffic.probe.url is not the URL of a page"},
		"a password":        {"http://me:" + secret + "@127.0.0.1/", "traffic.probe.url must not contain a user or a password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := started(t)
			p.Measure(t.Context(), reviews, &Request{
				ProbeRequest: plan.ProbeRequest{Stable: "a", Canary: "b"}, Probe: v1alpha1.Probe{URL: tc.url, RevisionHeader: "X-Revision"},
			})
			waitForResult(t, p)
			if got := p.Result(reviews); got.Fits || !strings.Contains(got.Pending, tc.want) || strings.Contains(got.Pending, secret) {
				t.Errorf("result %+v, want %q", got, tc.want)
			}
		})
	}
}

// TestSecure checks that an https URL works, and that the certificate has to be valid for the requested host.
func TestSecure(t *testing.T) {
	var names atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names.Store(r.TLS.ServerName)
		w.Header().Set("X-Revision", "b")
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for name, tc := range map[string]struct{ host, bundle, want string }{
		"trusted":      {"example.com", bundle, ""},
		"another host": {"www.bookinfo.com", bundle, "the certificate is not accepted"},
		"no bundle":    {"example.com", "", "the certificate is not accepted"},
		"no PEM":       {"example.com", "x", "traffic.probe.caBundle holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := started(t)
			p.Measure(t.Context(), reviews, &Request{
				ProbeRequest: plan.ProbeRequest{Weight: 100, Stable: "a", Canary: "b"},
				Probe:        v1alpha1.Probe{URL: server.URL, Host: tc.host, RevisionHeader: "X-Revision", CABundle: tc.bundle},
			})
			waitForResult(t, p)
			if got := p.Result(reviews); !strings.Contains(got.Pending, tc.want) || got.Fits != (tc.want == "") {
				t.Errorf("result %+v, want %q", got, tc.want)
			}
			if tc.want == "" && names.Load() != tc.host {
				t.Errorf("the server was asked for %v", names.Load())
			}
		})
	}
}

// TestBackOff checks that samples that do not match are repeated less and less often, and that all rollouts together
// stay within the request rate.
func TestBackOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := NewProber(local(t))
		ctx, stop := context.WithCancel(t.Context())
		var asked atomic.Int64
		const rollouts = 40
		var running sync.WaitGroup
		for range rollouts {
			m := &measurement{Prober: p, request: Request{
				ProbeRequest: plan.ProbeRequest{Weight: 50, Stable: "a", Canary: "b"}, Probe: v1alpha1.Probe{URL: "http://127.0.0.1/", RevisionHeader: "X-Revision"},
			}}
			m.transport = roundTripper(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Revision": {"a"}}, Body: http.NoBody}, nil
			})
			running.Go(func() { m.run(ctx, func() {}) })
		}
		time.Sleep(10 * time.Second)
		if got := asked.Load(); got > 10*maxRequests+maxSamples || got < 9*maxRequests {
			t.Errorf("%d requests in 10 seconds, want %d a second", got, maxRequests)
		}
		time.Sleep(5 * time.Minute)
		before := asked.Load()
		time.Sleep(5 * time.Minute)
		if each := (asked.Load() - before) / sample / rollouts; each < 5 || each > 10 {
			t.Errorf("%d samples of each rollout in 5 minutes, want one in 30 seconds or more", each)
		}
		stop()
		running.Wait()
	})
}

// TestInFlight checks that servers that never answer do not hold more requests in flight than allowed over all
// rollouts, and that each request that ends frees a slot.
func TestInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := NewProber(local(t))
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		inFlight, most, asked := 0, 0, 0
		count := func(change int) {
			mu.Lock()
			defer mu.Unlock()
			inFlight += change
			most, asked = max(most, inFlight), asked+max(change, 0)
		}
		var running sync.WaitGroup
		for range maxSamples {
			m := &measurement{Prober: p, request: Request{Probe: v1alpha1.Probe{URL: "http://127.0.0.1/", RevisionHeader: "X-Revision"}}}
			m.transport = roundTripper(func(request *http.Request) (*http.Response, error) {
				count(1)
				defer count(-1)
				<-request.Context().Done()
				return nil, request.Context().Err()
			})
			running.Go(func() { m.run(ctx, func() {}) })
		}
		time.Sleep(time.Minute)
		stop()
		running.Wait()
		if most != maxInFlight {
			t.Errorf("%d requests in flight, want %d", most, maxInFlight)
		}
		if want := int(time.Minute/timeout) * maxInFlight / 2; asked < want {
			t.Errorf("%d requests in a minute, want %d or more", asked, want)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// TestCompare compares samples with a weight.
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
		"another revision": {0, "b", "b", map[string]int{"a": 1, "b": 99}, "1 of 100 requests of the probe were answered by neither revision"},
		"no answer at all": {0, "a", "b", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := Request{ProbeRequest: plan.ProbeRequest{Weight: tc.weight, Stable: tc.stable, Canary: tc.canary}}
			var counted count
			for revision, n := range tc.counted {
				for range n {
					counted.add(request, revision, nil)
				}
			}
			if got := counted.compare(request); got != tc.want && (tc.want == "" || !strings.HasPrefix(got, tc.want)) {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}
