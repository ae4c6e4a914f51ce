// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"context"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

// away is how long Prometheus is stopped.
const away = time.Minute

// TestOutages kills the manager and stops Prometheus for a minute, while releases are judged. The verdicts are those that
// they would have been. One after the other: what is counted after a minute without Prometheus is enough for a verdict at once.
func TestOutages(t *testing.T) {
	kill := env.Supervise(t)
	t.Run("manager", func(t *testing.T) { killManager(t, kill) })
	t.Run("prometheus", stopPrometheus)
}

// stopPrometheus stops Prometheus while a bad and a good version wait at a gate. Nothing is decided while it is away, and both
// are judged afterwards.
func stopPrometheus(t *testing.T) {
	t.Helper()
	steps := []v1alpha1.Step{builder.Weight(50), builder.Gate(10*time.Minute, errorRate("2", rarely))}
	good := start(t, options{name: "outages-good", rate: 20, steps: steps})
	bad := start(t, options{name: "outages-bad", rate: 20, steps: steps})
	stable := good.Stable()
	good.release(nil)
	bad.release(environment{backend.ErrorPercent: "6"})
	for _, a := range []*app{good, bad} {
		a.waitForMeasurements("errors", 1)
	}
	from := time.Now()
	if err := env.Cluster.StopPrometheus(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*app{good, bad} {
		a.WaitFor("the outage to be reported", func(s v1alpha1.CanaryRolloutStatus) bool {
			said := metric(s, "errors")
			return said != nil && said.Errors > 0
		})
	}
	select {
	case <-time.After(time.Until(from.Add(away))):
	case <-t.Context().Done():
	}
	to := time.Now()
	if err := env.Cluster.StartPrometheus(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*app{good, bad} {
		a.checkUndecided("errors", from, to)
	}
	bad.waitForAbort("errors")
	good.CheckPromoted(stable)
	good.finish()
	bad.finish()
}

// killManager kills the manager when a bad version has been measured twice. What was counted before still counts.
func killManager(t *testing.T, kill func()) {
	t.Helper()
	a := start(t, options{rate: 20, analysis: background(errorRate("2", rarely)), steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}})
	a.release(environment{backend.ErrorPercent: "8"})
	a.waitForMeasurements("errors", 2)
	kill()
	a.waitForAbort("errors")
	a.finish()
}

// waitForMeasurements waits until a metric has been measured, and checks that it is not decided yet.
func (a *app) waitForMeasurements(name string, n int32) {
	a.t.Helper()
	var said *v1alpha1.MetricStatus
	a.WaitFor("measurements", func(s v1alpha1.CanaryRolloutStatus) bool {
		said = metric(s, name)
		return said != nil && said.Measurements >= n
	})
	if said.Verdict != v1alpha1.VerdictOpen {
		a.t.Fatalf("decided too soon for this test: %+v", said)
	}
}

// checkUndecided checks that a metric neither passed nor failed in any status of the window. After several errors in a row it is
// inconclusive, but is measured further.
func (a *app) checkUndecided(name string, from, to time.Time) {
	a.t.Helper()
	for _, moment := range a.Moments() {
		said := metric(moment.Status, name)
		if moment.At.After(from) && moment.At.Before(to) &&
			(said == nil || said.Verdict == v1alpha1.VerdictPassed || said.Verdict == v1alpha1.VerdictFailed) {
			a.t.Errorf("decided without Prometheus at %s: %+v", moment.At.Format(time.TimeOnly), said)
		}
	}
}
