// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// TestVariables: the planner has a value for every variable that lint accepts, and no other.
func TestVariables(t *testing.T) {
	in := atGate(analysisStep(0, "", errorsMetric()))
	v := newView(&in, gatewayCanary{})
	values := v.variables(metric{arguments: map[string]string{"port": "http"}}, v.canarySide())
	want := append(slices.Clone(analysis.VariableNames), "args.port")
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(values))); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestProgress: people see how far a metric without a statistical test has come, too: in bad measurements towards its failure, and
// in measurements towards its pass.
func TestProgress(t *testing.T) {
	passing := fastMetric(4, 1)
	for name, tc := range map[string]struct {
		metric              v1alpha1.Metric
		scope               v1alpha1.MetricStatusScope
		successes, failures int32
		failure, pass       float64
	}{
		"nothing yet":       {passing, v1alpha1.MetricStep, 0, 0, 0, 0},
		"half":              {passing, v1alpha1.MetricStep, 1, 1, 0.5, 0.5},
		"failed":            {passing, v1alpha1.MetricStep, 1, 2, 1, 0.75},
		"in the background": {passing, v1alpha1.MetricBackground, 9, 1, 0.5, 0},
		"a Job":             {smokeMetric(), v1alpha1.MetricStep, 1, 0, 0, 1},
	} {
		in := atGate(analysisStep(0, "", tc.metric))
		v := newView(&in, gatewayCanary{})
		m := v.resolve(&tc.metric, tc.scope)
		failure, pass := m.progress(&v1alpha1.MetricMemory{Successes: tc.successes, Failures: tc.failures})
		if failure != tc.failure || pass != tc.pass {
			t.Errorf("%s: %g and %g, want %g and %g", name, failure, pass, tc.failure, tc.pass)
		}
	}
}

// TestResolvedOnce: a pass needs its metrics a dozen times. It hashes, expands and prepares each of them once.
func TestResolvedOnce(t *testing.T) {
	in := atGate(analysisStep(0, "", fastMetric(1, 0)), background(errorsMetric()))
	v := newView(&in, gatewayCanary{})
	if len(v.metrics()) != 2 {
		t.Fatal("no metrics")
	}
	if got := testing.AllocsPerRun(100, func() { v.metrics() }); got > 2 {
		t.Errorf("%g allocations, want those of the slice alone", got)
	}
}
