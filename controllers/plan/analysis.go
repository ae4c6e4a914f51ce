// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// A metric is measured only while the traffic that it is about has settled (analysis_request.go). What is measured is counted
// (analysis_count.go), and decides about the release.

// entries returns the memory of the metrics of a scope.
func entries(memory *v1alpha1.AnalysisMemory, scope v1alpha1.MetricStatusScope) *[]v1alpha1.MetricMemory {
	switch scope {
	case v1alpha1.MetricStep:
		return &memory.Step
	case v1alpha1.MetricBake:
		return &memory.Bake
	default:
		return &memory.Background
	}
}

// measured returns what has been measured of a metric. A metric whose definition has changed starts over.
func (v view) measured(m metric) v1alpha1.MetricMemory {
	for _, entry := range *entries(&v.mem.Analysis, m.scope) {
		if entry.Name == m.name && entry.Definition == m.definition {
			return entry
		}
	}
	return v1alpha1.MetricMemory{Name: m.name, Definition: m.definition, Verdict: v1alpha1.VerdictOpen}
}

// remember writes what has been measured of a metric to the next memory.
func (t *transition) remember(m metric, entry v1alpha1.MetricMemory) {
	all := entries(&t.mem.Analysis, m.scope)
	kept := slices.DeleteFunc(*all, func(known v1alpha1.MetricMemory) bool { return known.Name == m.name })
	*all = append(kept, entry)
}

// forgetMetrics removes the metrics that are no longer in the spec. An edit of the steps starts them over, so those of a step are
// always in the spec.
func (t *transition) forgetMetrics() {
	var metrics []v1alpha1.Metric
	if t.in.Spec.Analysis != nil {
		metrics = t.in.Spec.Analysis.Metrics
	}
	isGone := func(known v1alpha1.MetricMemory) bool {
		return !slices.ContainsFunc(metrics, func(m v1alpha1.Metric) bool { return m.Name == known.Name })
	}
	memory := &t.mem.Analysis
	memory.Background, memory.Bake = slices.DeleteFunc(memory.Background, isGone), slices.DeleteFunc(memory.Bake, isGone)
}

// steady is open while the requests that a metric is about are answered as the targets in memory say. It then returns since
// when.
func (v view) steady(m metric) (time.Time, gate) {
	traffic := v.traffic()
	switch {
	case !v.isJudged():
		return time.Time{}, gate{shut: true}
	case v.spec.replicas == 0:
		return time.Time{}, waitFor("spec.replicas is 0")
	case m.scope == v1alpha1.MetricStep && !v.followsSteps():
		return time.Time{}, waitFor("the canary does not have the traffic yet that the steps ask for")
	case !v.isBaking() && traffic.load() == 0 && (m.scope == v1alpha1.MetricBackground || m.source.Compare != nil):
		// The requests of a header route are not those of the other users.
		return time.Time{}, waitFor("no share of the requests goes to the canary")
	}
	return v.strategy.steady(v)
}

// startAnalysis begins the measurements of a release with no evidence.
func (t *transition) startAnalysis() {
	t.mem.Analysis = v1alpha1.AnalysisMemory{Attempt: t.mem.Analysis.Attempt + 1}
}

// isJudged reports whether metrics decide about the release now: while it is at its steps, and during a bake.
func (v view) isJudged() bool {
	return v.mem.StableRevision != "" && (v.mem.Phase == v1alpha1.PhaseStepping || v.isBaking())
}

// failure returns why the release has to be aborted; empty if no metric has failed. Another template supersedes the release in
// any case, except in a bake, which it ends by the commit. A user who promotes a revision to the end has overruled its metrics.
func (v view) failure() string {
	target := v.target()
	isSuperseded := target != "" && target != v.mem.CurrentRevision && !v.isLastOfBake()
	if !v.isJudged() || !v.mayAbort() || isSuperseded {
		return ""
	}
	for _, m := range v.metrics() {
		if entry := v.measured(m); entry.Verdict == v1alpha1.VerdictFailed {
			return "metric " + m.name + " failed: " + v.words(m, &entry)
		}
	}
	return ""
}

// analysisProblem returns what a user has to fix before the release can be measured. Before a release starts, every metric of
// its steps is checked.
func (v view) analysisProblem() *Problem {
	isStarting := v.mem.Phase == v1alpha1.PhaseIdle && v.isWalking()
	if v.mem.Phase != v1alpha1.PhaseStepping && !isStarting {
		return nil
	}
	all := v.metrics()
	for i := range v.in.Spec.Steps {
		if step := v.in.Spec.Steps[i].Analysis; step != nil && isStarting {
			for j := range step.Metrics {
				all = append(all, v.resolved(&step.Metrics[j], v1alpha1.MetricStep))
			}
		}
	}
	for _, m := range all {
		if problem := cmp.Or(m.problem, v.measuredProblem(m)); problem != nil {
			return problem
		}
	}
	return nil
}

// rejections is how many measurements in a row have to be rejected before that needs a user. A single one may be due to the
// data of that moment.
const rejections = 3

// measuredProblem returns a problem that measurements have shown and that a user has to fix. It holds a release only while there
// are more measurements, which show when it is fixed.
func (v view) measuredProblem(m metric) *Problem {
	entry := v.measured(m)
	switch entry.ProblemReason {
	case v1alpha1.ReasonInvalidMetric, v1alpha1.ReasonProviderNotFound:
	case v1alpha1.ReasonQueryRejected:
		if entry.Errors < rejections {
			return nil
		}
	default:
		return nil
	}
	if next, _ := v.nextMeasurement(m); next == nil || !v.isJudged() {
		return nil
	}
	return m.isInvalid(entry.ProblemReason, "%s", entry.Problem)
}
