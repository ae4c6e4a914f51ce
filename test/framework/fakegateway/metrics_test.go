// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetrics: requests are counted by Service and status as Traefik does, also those that no pod answered, and the queries
// for Traefik find them.
func TestMetrics(t *testing.T) {
	b := newBench(t, Options{})
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad", http.StatusInternalServerError)
	}))
	t.Cleanup(failing.Close)
	for name, address := range map[string]string{"good": pod(t, "good"), "bad": failing.Listener.Addr().String(), "dead": "127.0.0.1:1"} {
		b.seeService(service(name))
		b.seeSlice(slice(t, name, address))
	}
	b.seeRoute(parseRoute(t, "r", `
rules:
- matches: [{path: {value: /good}}]
  backendRefs: [{name: good, port: 80}]
- matches: [{path: {value: /bad}}]
  backendRefs: [{name: bad, port: 80}]
- matches: [{path: {value: /dead}}]
  backendRefs: [{name: dead, port: 80}]
`))
	b.after(0)
	for _, path := range []string{"/good", "/good", "/bad", "/dead", "/nowhere"} {
		b.get(path)
	}
	const want = `
# HELP traefik_service_requests_total Requests that a Service was chosen for.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{code="200",method="GET",protocol="http",service="shop-good-http-80@kubernetesgateway"} 2
traefik_service_requests_total{code="500",method="GET",protocol="http",service="shop-bad-http-80@kubernetesgateway"} 1
traefik_service_requests_total{code="502",method="GET",protocol="http",service="shop-dead-http-80@kubernetesgateway"} 1
`
	if err := testutil.GatherAndCompare(b.metrics.registry, strings.NewReader(want), "traefik_service_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(b.metrics.registry, "traefik_service_request_duration_seconds"); err != nil || n != 3 {
		t.Errorf("%d histograms, want 3: %v", n, err)
	}
}
