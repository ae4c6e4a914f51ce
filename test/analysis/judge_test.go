// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

// inTime is how soon a release must be aborted after the first bad answer.
const inTime = 30 * time.Second

// background is spec.analysis with these metrics.
func background(metrics ...v1alpha1.Metric) *v1alpha1.Analysis {
	return &v1alpha1.Analysis{Metrics: metrics}
}

// TestVerdicts releases several versions at once, each of which must get its verdict.
func TestVerdicts(t *testing.T) {
	// 3 % of the answers of a version are errors, and it gets one request in ten. With these rates, one run in 10,000 would take
	// too long: which requests fail is random.
	t.Run("errors", func(t *testing.T) {
		t.Parallel()
		a := start(t, options{rate: 200, analysis: background(errorRate("0.1", "1")), steps: []v1alpha1.Step{builder.Weight(10), builder.Hold()}})
		a.abortsInTime("errors", environment{backend.ErrorPercent: "3"})
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		a := start(t, options{rate: 20, analysis: background(latency()), steps: []v1alpha1.Step{builder.Weight(20), builder.Hold()}})
		revision := a.release(environment{backend.Latency: "400ms"})
		at := a.waitForAbort("latency")
		if took := at.Sub(a.Traffic.Results(isOf(revision))[0].Start); took > inTime {
			t.Errorf("aborted %s after the first slow answer, want at most %s", took, inTime)
		}
		a.finish()
	})
	// An equal version, as bad as stable, passes the gate long before its duration.
	t.Run("equal", func(t *testing.T) {
		t.Parallel()
		a := start(t, options{rate: 40, steps: []v1alpha1.Step{builder.Weight(50), builder.Gate(10*time.Minute, errorRate("2", rarely))}})
		stable := a.Stable()
		a.release(nil)
		a.CheckPromoted(stable)
		a.finish()
	})
	t.Run("equals", func(t *testing.T) {
		t.Parallel()
		releaseEqual(t)
	})
	t.Run("threshold", func(t *testing.T) {
		t.Parallel()
		judgeByThreshold(t)
	})
	t.Run("web", func(t *testing.T) {
		t.Parallel()
		judgeByDocument(t)
	})
}

// releaseEqual releases five versions in a row that are as bad as stable. Each is measured, and none is aborted.
func releaseEqual(t *testing.T) {
	t.Helper()
	bad := environment{backend.ErrorPercent: "1"}
	a := start(t, options{rate: 50, first: bad, analysis: background(errorRate("0.5", rarely), latency()),
		steps: []v1alpha1.Step{builder.Weight(50), builder.Pause(8 * time.Second)}})
	for range 5 {
		stable := a.Stable()
		revision := a.release(bad)
		a.CheckPromoted(stable)
		a.checkMeasured("errors", revision)
	}
	a.finish()
}

// checkMeasured checks that a metric was measured in the background of a release.
func (a *app) checkMeasured(name, revision string) {
	a.t.Helper()
	for _, moment := range a.Moments() {
		said := metric(moment.Status, name)
		if moment.Status.Revision == revision && said != nil && said.Measurements > 0 {
			return
		}
	}
	a.t.Errorf("metric %s of revision %s was not measured", name, revision)
}

// abortsInTime releases a bad version, and checks that it is aborted in time after the first bad answer.
func (a *app) abortsInTime(name string, version environment) {
	a.t.Helper()
	revision := a.release(version)
	at := a.waitForAbort(name)
	took := at.Sub(a.firstError(revision))
	a.t.Logf("aborted %s after the first error, %d of which reached users", took.Round(time.Second/10), a.errorsOf(revision))
	if took > inTime {
		a.t.Errorf("aborted %s after the first error, want at most %s", took, inTime)
	}
	a.finish()
	a.checkCounts(name, revision)
}

// checkCounts checks that no more was counted than the pods of the canary answered: a count that is extrapolated would be.
func (a *app) checkCounts(name, revision string) {
	a.t.Helper()
	answers, bad := len(a.Traffic.Results(isOf(revision))), a.errorsOf(revision)
	for _, moment := range a.Moments() {
		if moment.Status.Memory == nil {
			continue
		}
		for _, entry := range moment.Status.Memory.Analysis.Background {
			counts := a.CountsOf(entry)
			if entry.Name == name && (counts.CanaryTotal > float64(answers) || counts.CanaryBad > float64(bad)) {
				a.t.Fatalf("%+v were counted, where the canary answered %d requests, %d of them with an error", counts, answers, bad)
			}
		}
	}
}
