// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// words says what has been measured of a metric, or why nothing could be.
func (v view) words(m metric, entry *v1alpha1.MetricMemory) string {
	switch {
	case m.problem != nil:
		return m.problem.Message
	case entry.Errors > 0:
		return fmt.Sprintf("no usable answer (%s in a row): %s", Quantity(entry.Errors, "measurement"), entry.Problem)
	case entry.Successes+entry.Failures == 0:
		if _, steady := v.nextMeasurement(m); steady.message != "" {
			return "not measured yet: " + steady.message
		}
		return "not measured yet"
	case m.source.Compare != nil:
		if m.test == nil {
			return "not measured yet"
		}
		evidence := evidenceOf(entry)
		return m.test.Describe(&evidence)
	case m.source.Job != nil:
		return entry.Value
	default:
		return fmt.Sprintf("%d of %s failed, the last result is %s", entry.Failures, Quantity(entry.Successes+entry.Failures, "measurement"), entry.Value)
	}
}

// undecided says why a metric has no verdict at the end of the time for it.
func (v view) undecided(m metric, entry *v1alpha1.MetricMemory) string {
	if m.test != nil && entry.Errors == 0 && entry.Successes > 0 {
		evidence := evidenceOf(entry)
		return m.test.DescribeInconclusive(&evidence)
	}
	return v.words(m, entry)
}

// reportMetrics returns what has been measured of each metric.
func (v view) reportMetrics() []v1alpha1.MetricStatus {
	var all []v1alpha1.MetricStatus
	if v.isBaking() {
		for _, prior := range v.in.Prior.Analysis {
			if prior.Scope == v1alpha1.MetricBackground {
				all = append(all, prior)
			}
		}
	}
	for _, m := range v.metrics() {
		all = append(all, v.reportMetric(m))
	}
	return all
}

func (v view) reportMetric(m metric) v1alpha1.MetricStatus {
	entry := v.measured(m)
	report := v1alpha1.MetricStatus{
		Name: m.name, Scope: m.scope, Verdict: entry.Verdict, Value: entry.Value,
		Measurements: entry.Successes + entry.Failures, Failures: entry.Failures, Errors: entry.Errors, Message: v.words(m, &entry),
	}
	if v.isInconclusive(m, &entry) {
		report.Verdict = v1alpha1.VerdictInconclusive
	}
	failure, pass := m.progress(&entry)
	report.FailureEvidence, report.PassEvidence = int32(100*max(failure, 0)), int32(100*max(pass, 0))
	return report
}

// progress returns how far a metric has come towards a failure and towards a pass, from 0 to 1. In the background, nothing but a
// comparison passes.
func (m metric) progress(entry *v1alpha1.MetricMemory) (failure, pass float64) {
	if m.test != nil {
		evidence := evidenceOf(entry)
		return m.test.Progress(&evidence)
	}
	count, failureLimit := m.limits()
	if m.scope == v1alpha1.MetricStep {
		pass = float64(entry.Successes+entry.Failures) / float64(count)
	}
	return min(float64(entry.Failures)/float64(failureLimit+1), 1), min(pass, 1)
}

// measuredCondition says whether every metric of the release in flight can be measured.
func (s *summary) measuredCondition() metav1.Condition {
	metrics := s.metrics()
	if !s.isJudged() || len(metrics) == 0 {
		return condition(v1alpha1.ConditionMeasured, true, v1alpha1.ReasonNotMeasuring, "nothing is being measured")
	}
	for _, m := range metrics {
		entry := s.measured(m)
		switch {
		case m.problem != nil:
			return condition(v1alpha1.ConditionMeasured, false, m.problem.Reason, m.problem.Message)
		case entry.Errors > 0:
			return condition(v1alpha1.ConditionMeasured, false, entry.ProblemReason, "metric "+m.name+": "+s.words(m, &entry))
		}
	}
	return condition(v1alpha1.ConditionMeasured, true, v1alpha1.ReasonMeasuring, Quantity(int32(len(metrics)), "metric")+" can be measured")
}

// hasAnalysis reports whether the spec has any metric.
func (v view) hasAnalysis() bool {
	return v.in.Spec.Analysis != nil || slices.ContainsFunc(v.in.Spec.Steps, func(step v1alpha1.Step) bool { return step.Analysis != nil })
}
