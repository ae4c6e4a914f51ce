// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// A measurement has an identity, and its result counts only if the planner would ask for that very measurement again: for this
// revision, attempt, step and definition, and for this traffic.

// measure returns what to measure until the next plan. It wakes the rollout when more can be measured, and records which Jobs
// start now.
func (t *transition) measure() []Measurement {
	var all []Measurement
	if t.probe != nil {
		all = append(all, Measurement{Probe: t.probe})
	}
	if t.isTerminating() || !t.isJudged() {
		return all
	}
	for _, m := range t.metrics() {
		next, settled := t.nextMeasurement(m)
		t.wake(settled.opensAt)
		if next == nil {
			continue
		}
		if entry := t.measured(m); next.Job != nil && entry.StartedAt == nil {
			entry.StartedAt = t.now()
			t.remember(m, entry)
		}
		all = append(all, *next)
	}
	return all
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
		// A Job that runs continues while a gateway withdraws its acceptance for a moment.
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
