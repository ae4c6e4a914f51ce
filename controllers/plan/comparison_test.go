// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestCountersOfPods: pods are scraped at different moments. An interval lasts until each of them has been scraped once more,
// and what one interval shows is no verdict before the next one confirms it.
func TestCountersOfPods(t *testing.T) {
	for counters, want := range map[string]struct {
		interval time.Duration
		failed   v1alpha1.MetricVerdict
	}{
		"{{service}}":    {10 * time.Second, v1alpha1.VerdictFailed},
		"{{replicaSet}}": {15 * time.Second, v1alpha1.VerdictOpen},
		"{{revision}}":   {15 * time.Second, v1alpha1.VerdictOpen},
	} {
		t.Run(counters, func(t *testing.T) {
			metric := errorsMetric()
			metric.Compare.Bad, metric.Compare.Total = `errors{of="`+counters+`"}`, `requests{of="`+counters+`"}`
			in := atGate(analysisStep(time.Hour, "", metric))
			wanted := Compute(in).Measurements[0]
			if got := wanted.NotBefore.Sub(wanted.Compare.From); got != want.interval+2*time.Second {
				t.Errorf("measured after %s", got)
			}
			next(&in, time.Minute, counted(50))
			next(&in, time.Minute, counted(50))
			if got := in.Prior.Memory.Analysis.Step[0].Verdict; got != want.failed {
				t.Errorf("%s after one interval", got)
			}
			if got := Compute(in).Status.Memory.Analysis.Step[0].Verdict; got != v1alpha1.VerdictFailed {
				t.Errorf("%s after two intervals", got)
			}
		})
	}
}
