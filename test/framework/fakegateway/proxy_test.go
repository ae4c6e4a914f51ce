// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"
)

const weighted = `
rules:
- matches: [{path: {type: PathPrefix, value: /}}]
  filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}]
  backendRefs: [{name: a, port: 80, weight: 30}, {name: b, port: 80, weight: 70}, {name: c, port: 80, weight: 0}]
`

// TestWeights compares the shares of many requests with the weights. A backend with weight 0 must get none.
func TestWeights(t *testing.T) {
	const requests = 20_000
	b := newBench(t, Options{Seed: 1})
	for _, name := range []string{"a", "b", "c"} {
		b.seeService(service(name))
		b.seeSlice(slice(t, name, "10.0.0.1:80", "10.0.0.2:80"))
	}
	b.seeRoute(parseRoute(t, "r", weighted))
	b.after(0)
	rule := b.table.Load().entries[0].rule
	counts, addresses := map[string]float64{}, map[string]float64{}
	for range requests {
		counts[rule.choose().name] += 1. / requests
	}
	for range requests {
		chosen, _, _ := b.choose(rule)
		addresses[chosen.address] += 1. / requests
	}
	for name, want := range map[string]float64{"a": 0.3, "b": 0.7, "c": 0} {
		if got := counts[name]; math.Abs(got-want) > 0.01 || want == 0 && got != 0 {
			t.Errorf("%s got %.3f of the requests, want %.2f", name, got, want)
		}
	}
	if got := addresses["10.0.0.1:80"]; math.Abs(got-0.5) > 0.01 {
		t.Errorf("one of two endpoints got %.3f of the requests", got)
	}
}

// TestStrict: the gateway itself answers what it cannot route, as the Gateway API requires, and counts it.
func TestStrict(t *testing.T) {
	log := filepath.Join(t.TempDir(), "access.log")
	b := newBench(t, Options{AccessLog: log})
	for _, name := range []string{"living", "empty", "dead", "unready"} {
		b.seeService(service(name))
	}
	b.seeSlice(slice(t, "living", pod(t, "living")))
	b.seeSlice(slice(t, "dead", "127.0.0.1:1"))
	unready := slice(t, "unready", "127.0.0.1:1")
	unready.Endpoints[0].Conditions.Ready = ptr.To(false)
	b.seeSlice(unready)
	b.seeRoute(parseRoute(t, "r", `
rules:
- {matches: [{path: {value: /living}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}], backendRefs: [{name: living, port: 80}, {name: missing, port: 80, weight: 0}]}
- {matches: [{path: {value: /empty}}], `+to("empty")+`}
- {matches: [{path: {value: /unready}}], `+to("unready")+`}
- {matches: [{path: {value: /dead}}], `+to("dead")+`}
- {matches: [{path: {value: /missing}}], `+to("missing")+`}
- {matches: [{path: {value: /port}}], backendRefs: [{name: living, port: 81}]}
- {matches: [{path: {value: /elsewhere}}], backendRefs: [{name: living, namespace: other, port: 80}]}
- {matches: [{path: {value: /kind}}], backendRefs: [{name: living, kind: Pod, port: 80}]}
- {matches: [{path: {value: /zero}}], backendRefs: [{name: living, port: 80, weight: 0}]}
- {matches: [{path: {value: /none}}]}
`))
	b.after(0)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/living":    {200, "living"},
		"/empty":     {503, "Service empty has no ready endpoints"},
		"/unready":   {503, "Service unready has no ready endpoints"},
		"/dead":      {502, "connection refused"},
		"/missing":   {500, "Service missing does not exist"},
		"/port":      {500, "Service living has no port 81"},
		"/elsewhere": {500, "Service other/living is in another namespace"},
		"/kind":      {500, `kind Pod of group "" is not known`},
		"/zero":      {503, "all weights are zero"},
		"/none":      {500, "the rule has no backendRefs"},
		"/what":      {404, "no rule matches"},
	} {
		status, body := b.get("http://any.example.com"+path, "X-Request-Id", "id"+path)
		if status != want.status || !strings.Contains(body, want.body) {
			t.Errorf("%s: got %d %q, want %d %q", path, status, body, want.status, want.body)
		}
	}
	if got, want := b.Counts(), map[int]int{404: 1, 500: 5, 502: 1, 503: 3}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"request_X-Request-Id":"id/dead","ServiceAddr":"127.0.0.1:1","DownstreamStatus":502,`; !strings.Contains(string(text), want) {
		t.Errorf("the access log lacks %s:\n%s", want, text)
	}
	if got := strings.Count(string(text), "\n"); got != 10 {
		t.Errorf("the access log has %d lines, want 10:\n%s", got, text)
	}
}

// TestShareOfABrokenBackend: a broken backend causes 500 for its share only.
func TestShareOfABrokenBackend(t *testing.T) {
	b := newBench(t, Options{Seed: 1})
	b.seeService(service("a"))
	b.seeSlice(slice(t, "a", "10.0.0.1:80"))
	b.seeRoute(parseRoute(t, "r", "rules: [{backendRefs: [{name: a, port: 80, weight: 3}, {name: missing, port: 80, weight: 1}]}]"))
	b.after(0)
	broken := 0
	for range 4000 {
		if _, status, _ := b.choose(b.table.Load().entries[0].rule); status == http.StatusInternalServerError {
			broken++
		}
	}
	if broken < 900 || broken > 1100 {
		t.Errorf("%d of 4000 requests met the broken backend, want a quarter", broken)
	}
}

// TestTimeout: the rule's own timeout ends a request.
func TestTimeout(t *testing.T) {
	b := newBench(t, Options{})
	b.seeService(service("a"))
	b.seeSlice(slice(t, "a", hangingPod(t)))
	b.seeRoute(parseRoute(t, "r", "rules: [{timeouts: {request: 50ms}, "+to("a")+"}]"))
	b.after(0)
	began := time.Now()
	if status, body := b.get("http://any/"); status != http.StatusGatewayTimeout || time.Since(began) > 2*time.Second {
		t.Errorf("got %d %s after %s", status, body, time.Since(began))
	}
}

// TestMirrors: copies of a part of the requests are sent, and the answer is that of the chosen pod, even if no mirror
// takes the copy.
func TestMirrors(t *testing.T) {
	const requests = 400
	b := newBench(t, Options{Seed: 1})
	for _, name := range []string{"living", "shadow", "empty"} {
		b.seeService(service(name))
	}
	b.seeSlice(slice(t, "living", pod(t, "living")))
	b.seeSlice(slice(t, "shadow", pod(t, "shadow")))
	b.seeRoute(parseRoute(t, "r", `
rules:
- filters:
  - {type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 80}, percent: 25}}
  - {type: RequestMirror, requestMirror: {backendRef: {name: empty, port: 80}}}
  `+to("living")+`
`))
	b.after(0)
	for range requests {
		if status, body := b.get("http://any.example.com/"); status != http.StatusOK || body != "living" {
			t.Fatalf("got %d %q", status, body)
		}
	}
	b.running.Wait()
	if got := float64(b.Mirrored("shadow")) / requests; math.Abs(got-0.25) > 0.1 {
		t.Errorf("%.2f of the requests were mirrored, want 0.25", got)
	}
	if got := b.Mirrored("living") + b.Mirrored("empty"); got != 0 {
		t.Errorf("%d copies were misrouted", got)
	}
}
