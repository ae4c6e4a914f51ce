// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// judgeByThreshold: a threshold that holds passes with its last measurement, and one that does not hold aborts with the
// measurement after the limit.
func judgeByThreshold(t *testing.T) {
	t.Helper()
	rate := v1alpha1.Metric{Name: "rate", MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{
		Query: `sum(rate(` + requests + `[{{window}}]))`, Window: seconds(6), Min: "0.1",
		Schedule: v1alpha1.Schedule{Interval: seconds(2), Count: ptr.To[int32](3)},
	}}}
	share := v1alpha1.Metric{Name: "share", MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{
		Query:  `sum(increase(` + errors + `[{{window}}])) / sum(increase(` + requests + `[{{window}}]))`,
		Window: seconds(6), Condition: "result < 0.2",
		Schedule: v1alpha1.Schedule{Interval: seconds(2), Count: ptr.To[int32](3), FailureLimit: ptr.To[int32](1)},
	}}}
	a := start(t, options{rate: 20, steps: []v1alpha1.Step{builder.Weight(50), builder.Gate(time.Minute, rate), builder.Gate(time.Minute, share)}})
	a.release(environment{backend.ErrorPercent: "50"})
	a.waitForAbort("share")
	a.checkPassed("rate", 3)
	a.finish()
}

// judgeByDocument: a web metric is asked for the revision in flight, and decided by the documents that it gets. An answer that
// is no document is no verdict.
func judgeByDocument(t *testing.T) {
	t.Helper()
	a := start(t, options{rate: 10, steps: []v1alpha1.Step{builder.Weight(50), builder.Gate(time.Minute, checks("smoke")), builder.Gate(time.Minute, checks("soak"))}})
	asked := serve(t, func(path string, nth int) (status int, document string) {
		switch {
		case nth == 1:
			return http.StatusServiceUnavailable, "starting"
		case strings.HasPrefix(path, "/soak"):
			return http.StatusOK, `{"checks": {"failed": 2}}`
		default:
			return http.StatusOK, `{"checks": {"failed": 0}}`
		}
	})
	revision := a.release(nil)
	a.waitForAbort("soak")
	a.checkPassed("smoke", 2)
	for _, path := range []string{"/smoke?revision=" + revision, "/soak?revision=" + revision} {
		if times := asked(path); times < 2 {
			t.Errorf("%s was asked for %d times", path, times)
		}
	}
	a.finish()
}

// checks is a web metric that passes with two documents without a failed check.
func checks(name string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, MetricSource: v1alpha1.MetricSource{Web: &v1alpha1.WebMetric{
		Provider: "checks", Path: "/" + name + "?revision={{revision}}", Condition: "result.checks.failed == 0",
		Schedule: v1alpha1.Schedule{Interval: seconds(1), Count: ptr.To[int32](2)},
	}}}
}

// serve answers the requests of the provider of checks until the test ends. nth counts those for one path from 1.
func serve(t *testing.T, answer func(path string, nth int) (status int, document string)) (asked func(path string) int) {
	t.Helper()
	listener, err := net.Listen("tcp", operator.ChecksAddress)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	times := map[string]int{}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		path := r.URL.RequestURI()
		times[path]++
		status, document := answer(path, times[path])
		w.WriteHeader(status)
		_, _ = io.WriteString(w, document)
	})}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return times[path]
	}
}

// checkPassed checks that a metric of an analysis step passed, with so many measurements.
func (a *app) checkPassed(name string, measurements int32) {
	a.t.Helper()
	for _, moment := range a.Moments() {
		if said := metric(moment.Status, name); said != nil && said.Verdict == v1alpha1.VerdictPassed {
			if said.Measurements != measurements {
				a.t.Errorf("metric %s passed with %d measurements, want %d", name, said.Measurements, measurements)
			}
			return
		}
	}
	a.t.Errorf("metric %s was not seen to pass", name)
}
