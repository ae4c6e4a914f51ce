// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// metrics are the providers of a world in which nothing fails: every measurement is good, and is made as early as it can be. Only
// those of analysis steps have an effect: in the background and in a bake, metrics that do not fail change nothing.
type metrics struct {
	shared    []plan.SharedMetric
	providers map[string]plan.Provider
	unknown   []string
	// asked are the measurements that the last plan asked for.
	asked []plan.Measurement
}

// perfect are counts that prove any canary to be good.
var perfect = analysis.Counts{StableTotal: 1e9, StableBad: 1e6, CanaryTotal: 1e9}

func newMetrics(spec *v1alpha1.CanaryRolloutSpec, find func(*v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec) metrics {
	m := metrics{providers: map[string]plan.Provider{}}
	if spec.Analysis != nil {
		m.know(spec.Analysis.Metrics, find)
		m.unknown = nil // they have no effect
	}
	for i := range spec.Steps {
		if step := spec.Steps[i].Analysis; step != nil {
			m.know(step.Metrics, find)
		}
	}
	return m
}

// know adds the CanaryMetrics and the providers of a list of metrics.
func (m *metrics) know(list []v1alpha1.Metric, find func(*v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec) {
	for i := range list {
		source := &list[i].MetricSource
		if ref := list[i].MetricRef; ref != nil {
			source = &m.read(ref, find).MetricSource
		}
		switch {
		case source.Compare != nil:
			m.providers[cmp.Or(source.Compare.Provider, v1alpha1.DefaultProvider)] = plan.Provider{Prometheus: true}
		case source.Threshold != nil:
			m.providers[cmp.Or(source.Threshold.Provider, v1alpha1.DefaultProvider)] = plan.Provider{Prometheus: true}
		case source.Web != nil:
			m.providers[source.Web.Provider] = plan.Provider{Web: true}
		}
	}
}

func (m *metrics) read(ref *v1alpha1.MetricReference, find func(*v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec) *v1alpha1.CanaryMetricSpec {
	var spec *v1alpha1.CanaryMetricSpec
	if find != nil {
		spec = find(ref)
	}
	if spec == nil {
		spec = standIn(ref)
		m.unknown = append(m.unknown, ref.Name)
	}
	isSame := func(known plan.SharedMetric) bool { return known.Name == ref.Name && known.Scope == ref.Scope }
	if !slices.ContainsFunc(m.shared, isSame) {
		m.shared = append(m.shared, plan.SharedMetric{Name: ref.Name, Scope: ref.Scope, Spec: spec})
	}
	return spec
}

// standIn takes the place of a CanaryMetric that is not known. It takes whatever arguments it is given.
func standIn(ref *v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec {
	spec := &v1alpha1.CanaryMetricSpec{MetricSource: v1alpha1.MetricSource{Web: &v1alpha1.WebMetric{
		Provider: "unknown", Schedule: v1alpha1.Schedule{Count: ptr.To[int32](1)},
	}}}
	for _, argument := range ref.Arguments {
		spec.Arguments = append(spec.Arguments, v1alpha1.ArgumentDeclaration{Name: argument.Name})
	}
	return spec
}

// observe adds what the planner can know of metrics: the results of the measurements that are due.
func (m *metrics) observe(observed *plan.Observed, now time.Time) {
	observed.Metrics, observed.Providers, observed.JobsAllowed = m.shared, m.providers, true
	for _, asked := range m.asked {
		if !isOfStep(asked) || asked.NotBefore.After(now) {
			continue
		}
		result := plan.Measured{ID: asked.ID, Outcome: plan.OutcomeGood, At: now}
		if asked.Compare != nil {
			result.Outcome, result.Counts = plan.OutcomeCounted, perfect
		}
		observed.Measured = append(observed.Measured, result)
	}
}

// before returns the time of the next result, if that is earlier than the given time.
func (m *metrics) before(at, now time.Time) time.Time {
	for _, asked := range m.asked {
		due := asked.NotBefore
		if due.Before(now) {
			due = now
		}
		if isOfStep(asked) && (at.IsZero() || due.Before(at)) {
			at = due
		}
	}
	return at
}

func isOfStep(asked plan.Measurement) bool { return asked.Probe == nil && asked.ID.Step > 0 }
