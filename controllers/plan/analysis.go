// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// A metric is measured only while the traffic that it is about has settled. A measurement has an identity, and its result counts
// only if the planner would ask for that very measurement again: for this revision, attempt, step and definition, and for this
// traffic.

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

// endsEarly reports whether a metric passes for good. In the background, a canary that has been good so far may still turn out to
// be bad, for example at a higher weight. A Job runs once.
func (m metric) endsEarly() bool { return m.scope == v1alpha1.MetricStep || m.source.Job != nil }

// isFinal reports whether a metric needs no more measurements.
func isFinal(m metric, verdict v1alpha1.MetricVerdict) bool {
	return verdict == v1alpha1.VerdictFailed || m.endsEarly() && verdict != v1alpha1.VerdictOpen && verdict != ""
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

// nextMeasurement returns the next measurement of a metric; nil if there is none now. The gate says what it waits for.
func (v view) nextMeasurement(m metric) (*Measurement, gate) {
	entry := v.measured(m)
	if m.problem != nil || isFinal(m, entry.Verdict) {
		return nil, gate{}
	}
	since, steady := v.steady(m)
	hasStarted := entry.StartedAt != nil
	if steady.shut && !hasStarted {
		return nil, steady
	}
	next := &Measurement{ID: MeasurementID{
		Revision: v.mem.CurrentRevision, Attempt: v.mem.Analysis.Attempt, Step: v.measurementStep(m), Metric: m.name,
		Definition: m.definition, Number: entry.Number, Since: since.UnixMicro(),
	}}
	v.request(next, m, entry, since)
	return next, gate{}
}

func (v view) measurementStep(m metric) int32 {
	switch m.scope {
	case v1alpha1.MetricStep:
		return v.mem.StepIndex + 1
	case v1alpha1.MetricBake:
		return BakeStep
	default:
		return 0
	}
}

// request fills in what to measure, and from when.
func (v view) request(next *Measurement, m metric, entry v1alpha1.MetricMemory, since time.Time) {
	provider := v.in.Observed.Providers[m.provider()]
	values := v.variables(m, v.canarySide())
	expand := func(text string) string {
		expanded, _ := analysis.Expand(text, values) // resolve has found unknown variables
		return expanded
	}
	next.NotBefore = since.Add(m.window() + provider.ScrapeInterval + provider.Delay + lasting(m.schedule().InitialDelay, 0))
	if entry.MeasuredAt != nil && m.source.Compare == nil {
		next.NotBefore = latest(next.NotBefore, entry.MeasuredAt.Add(m.interval()))
	}
	switch source := m.source; {
	case source.Compare != nil:
		v.requestComparison(next, m, entry, since.Add(provider.ScrapeInterval))
	case source.Threshold != nil:
		next.Threshold = &ThresholdRequest{
			Provider: m.provider(), Query: expand(source.Threshold.Query),
			Min: source.Threshold.Min, Max: source.Threshold.Max, Condition: source.Threshold.Condition,
		}
	case source.Web != nil:
		next.Web = &WebRequest{Provider: m.provider(), Path: expand(source.Web.Path), Condition: source.Web.Condition}
	case source.Job != nil:
		// A Job that runs goes on while a gateway withdraws its acceptance for a moment.
		next.ID.Since, next.NotBefore = 0, time.Time{}
		values = inJSON(values)
		next.Job = &JobRequest{Template: expand(string(source.Job.Template.Raw))}
	}
}

// requestComparison asks for the requests since the last interval that was counted. What was answered before the traffic had
// settled does not count.
func (v view) requestComparison(next *Measurement, m metric, entry v1alpha1.MetricMemory, settled time.Time) {
	from := settled
	if entry.CountedUntil != nil {
		from = latest(from, entry.CountedUntil.Time)
	}
	provider, interval := v.in.Observed.Providers[m.provider()], m.interval()
	if isByPod(m.source.Compare) { // each pod has been scraped once more by the end of an interval
		interval = max(interval, provider.ScrapeInterval)
	}
	next.NotBefore = from.Add(interval + provider.Delay)
	if entry.Errors > 0 && entry.MeasuredAt != nil {
		next.NotBefore = latest(next.NotBefore, entry.MeasuredAt.Add(interval))
	}
	compare := m.source.Compare
	counters := func(about side) CounterPair {
		values := v.variables(m, about)
		total, _ := analysis.Expand(compare.Total, values)
		part, _ := analysis.Expand(cmp.Or(compare.Bad, compare.Good), values)
		return CounterPair{Total: total, Part: part}
	}
	next.Compare = &CompareRequest{Provider: m.provider(), From: from, Canary: counters(v.canarySide()), CountsGood: compare.Good != ""}
	if m.scope != v1alpha1.MetricBake {
		next.Compare.Stable = counters(v.stableSide())
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// observeMeasurements counts the results that the planner has asked for, and still would.
func (t *transition) observeMeasurements() {
	if !t.isJudged() {
		t.metricReports = t.in.Prior.Analysis
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
	entry.Verdict = t.verdictOf(m, &entry)
	t.remember(m, entry)
}

// countRequests adds an interval to the evidence of a comparison. It returns why it cannot.
func (t *transition) countRequests(m metric, entry *v1alpha1.MetricMemory, result Measured) *Problem {
	entry.CountedUntil = &metav1.MicroTime{Time: result.At}
	test, evidence := t.comparisonTest(m), evidenceOf(entry)
	if test == nil || !test.Add(&evidence, result.Counts) {
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

// comparisonTest returns the test of a comparison; nil if there is none. After a promotion the new revision is compared with its
// own past.
func (v view) comparisonTest(m metric) *analysis.Test {
	var test *analysis.Test
	var err error
	switch {
	case m.source.Compare == nil:
		return nil
	case m.scope == v1alpha1.MetricBake:
		before := v.measured(metric{name: m.name, definition: m.definition, scope: v1alpha1.MetricBackground})
		test, err = analysis.NewBakeTest(m.comparison(), evidenceOf(&before).Counts)
	default:
		test, err = analysis.NewTest(m.comparison())
	}
	if err != nil {
		return nil
	}
	return test
}

// verdictOf returns what the measurements of a metric say. A failure is final.
func (v view) verdictOf(m metric, entry *v1alpha1.MetricMemory) v1alpha1.MetricVerdict {
	count, failureLimit := m.limits()
	switch {
	case entry.Verdict == v1alpha1.VerdictFailed:
		return v1alpha1.VerdictFailed
	case m.source.Compare != nil:
		return v.comparisonVerdict(m, entry)
	case entry.Failures > failureLimit:
		return v1alpha1.VerdictFailed
	case m.endsEarly() && entry.Successes+entry.Failures >= count:
		return v1alpha1.VerdictPassed
	default:
		return v1alpha1.VerdictOpen
	}
}

func (v view) comparisonVerdict(m metric, entry *v1alpha1.MetricMemory) v1alpha1.MetricVerdict {
	test, evidence := v.comparisonTest(m), evidenceOf(entry)
	if test == nil {
		return v1alpha1.VerdictOpen
	}
	switch test.Verdict(&evidence) {
	case analysis.Failed:
		return v1alpha1.VerdictFailed
	case analysis.Passed:
		return v1alpha1.VerdictPassed
	case analysis.Open:
	}
	return v1alpha1.VerdictOpen
}

// isJudged reports whether metrics decide about the release now: while it is at its steps, and during a bake.
func (v view) isJudged() bool {
	return v.mem.StableRevision != "" && (v.mem.Phase == v1alpha1.PhaseStepping || v.isBaking())
}

// failure returns why the release has to be aborted; empty if no metric has failed. Another template supersedes the release in
// any case. A user who promotes a revision to the end has overruled its metrics.
func (v view) failure() string {
	target := v.target()
	if !v.isJudged() || !v.mayAbort() || target != "" && target != v.mem.CurrentRevision {
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
				all = append(all, v.resolve(&step.Metrics[j], v1alpha1.MetricStep))
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
	if next, _ := v.nextMeasurement(m); next == nil || !v.isJudged() {
		return nil
	}
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
	return m.isInvalid(entry.ProblemReason, "%s", entry.Problem)
}

// startAnalysis begins the measurements of a release with no evidence.
func (t *transition) startAnalysis() {
	t.mem.Analysis = v1alpha1.AnalysisMemory{Attempt: t.mem.Analysis.Attempt + 1}
}

// measurements returns what to measure until the next plan.
func (t *transition) measurements() []Measurement {
	var all []Measurement
	if t.probe != nil {
		all = append(all, Measurement{Probe: t.probe})
	}
	if t.isTerminating() || !t.isJudged() {
		return all
	}
	for _, m := range t.metrics() {
		if next, _ := t.nextMeasurement(m); next != nil {
			all = append(all, *next)
		}
	}
	return all
}

// keepMeasurements wakes the rollout when a metric can be measured, and records which Jobs this pass starts.
func (t *transition) keepMeasurements() {
	if !t.isJudged() {
		return
	}
	for _, m := range t.metrics() {
		next, settled := t.nextMeasurement(m)
		t.wake(settled.opensAt)
		if entry := t.measured(m); next != nil && next.Job != nil && entry.StartedAt == nil {
			entry.StartedAt = t.now()
			t.remember(m, entry)
		}
	}
}
