// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// observeMeasurements counts the results that the planner has asked for, and still would.
func (t *transition) observeMeasurements() {
	if !t.isJudged() {
		t.metricReports = slices.Clone(t.in.Prior.Analysis) // its texts are truncated later
		return
	}
	t.forgetMetrics()
	for _, m := range t.metrics() {
		next, _ := t.nextMeasurement(m)
		if next == nil {
			continue
		}
		if i := slices.IndexFunc(t.in.Observed.Measured, func(result Measured) bool { return result.ID == next.ID }); i >= 0 {
			t.count(m, t.in.Observed.Measured[i])
		}
	}
	t.metricReports = t.reportMetrics()
}

// count adds a result to what has been measured of a metric.
func (t *transition) count(m metric, result Measured) {
	entry := t.measured(m)
	entry.Number++
	entry.MeasuredAt = t.now()
	entry.Value = truncateRunes(result.Value, maxValue)
	problem := result.Problem
	switch result.Outcome {
	case OutcomeCounted:
		problem = t.countRequests(m, &entry, result)
	case OutcomeGood:
		entry.Successes++
	case OutcomeBad:
		entry.Failures++
	case OutcomeNoData:
		if m.source.Compare != nil { // the interval may never have data, but a later one may
			entry.CountedUntil = &metav1.MicroTime{Time: result.At}
		}
	case OutcomeError:
	}
	entry.Errors, entry.Problem, entry.ProblemReason = 0, "", ""
	if problem != nil {
		entry.Errors, entry.Problem, entry.ProblemReason = t.measured(m).Errors+1, excerpt(problem.Message), problem.Reason
	}
	entry.Verdict = m.verdictOf(&entry)
	t.remember(m, entry)
}

// countRequests adds an interval to the evidence of a comparison. It returns why it cannot.
func (t *transition) countRequests(m metric, entry *v1alpha1.MetricMemory, result Measured) *Problem {
	entry.CountedUntil = &metav1.MicroTime{Time: result.At}
	evidence := evidenceOf(entry)
	if m.test == nil || !m.test.Add(&evidence, result.Counts) {
		return &Problem{Reason: v1alpha1.ReasonNoData, Message: "the provider's counts are no numbers of requests"}
	}
	entry.Successes++
	entry.Evidence = evidence.Encode()
	return nil
}

// evidenceOf returns the evidence of a comparison. Evidence that cannot be read, which only an edit of the status can cause, is
// none.
func evidenceOf(entry *v1alpha1.MetricMemory) analysis.Evidence {
	evidence, err := analysis.DecodeEvidence(entry.Evidence)
	if err != nil {
		return analysis.Evidence{}
	}
	return evidence
}

// verdictOf returns what the measurements of a metric say. A failure is final.
func (m metric) verdictOf(entry *v1alpha1.MetricMemory) v1alpha1.MetricVerdict {
	count, failureLimit := m.limits()
	switch {
	case entry.Verdict == v1alpha1.VerdictFailed:
		return v1alpha1.VerdictFailed
	case m.source.Compare != nil:
		return m.comparisonVerdict(entry)
	case entry.Failures > failureLimit:
		return v1alpha1.VerdictFailed
	case m.endsEarly() && entry.Successes+entry.Failures >= count:
		return v1alpha1.VerdictPassed
	default:
		return v1alpha1.VerdictOpen
	}
}

func (m metric) comparisonVerdict(entry *v1alpha1.MetricMemory) v1alpha1.MetricVerdict {
	if m.test == nil {
		return v1alpha1.VerdictOpen
	}
	evidence := evidenceOf(entry)
	switch m.test.Verdict(&evidence) {
	case analysis.Failed:
		return v1alpha1.VerdictFailed
	case analysis.Passed:
		return v1alpha1.VerdictPassed
	case analysis.Open:
	}
	return v1alpha1.VerdictOpen
}

// endsEarly reports whether a metric passes for good. In the background, a canary that has been good so far may still turn out to
// be bad, for example at a higher weight. A Job runs once.
func (m metric) endsEarly() bool { return m.scope == v1alpha1.MetricStep || m.source.Job != nil }

// isFinal reports whether a metric needs no more measurements.
func isFinal(m metric, verdict v1alpha1.MetricVerdict) bool {
	return verdict == v1alpha1.VerdictFailed || m.endsEarly() && verdict != v1alpha1.VerdictOpen && verdict != ""
}
