// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// checkAnalysis checks the metrics of a rollout: those of the background, then those of the steps with the traffic that they have.
func (m *Manifests) checkAnalysis(rollout Rollout) []Finding {
	var found []Finding
	if analysis := rollout.Spec.Analysis; analysis != nil {
		for i := range analysis.Metrics {
			_, findings := m.resolve(rollout, fmt.Sprintf("spec.analysis.metrics[%d]", i), &analysis.Metrics[i])
			found = append(found, findings...)
		}
		if rollout.Spec.Bake == nil && !sendsRequests(rollout.Spec.Steps) {
			found = append(found, rollout.place.find(Warning, IDNoRequests, "spec.analysis",
				"no step sends requests to the canary, so nothing is ever measured: add setWeight, setHeaderRoute or setMirrorRoute to spec.steps, or remove spec.analysis"))
		}
	}
	canary := traffic{headerRoutes: map[string]bool{}}
	for i := range rollout.Spec.Steps {
		step := &rollout.Spec.Steps[i]
		canary.follow(step)
		if step.Analysis == nil {
			continue
		}
		path := fmt.Sprintf("spec.steps[%d].analysis", i)
		for j := range step.Analysis.Metrics {
			at := fmt.Sprintf("%s.metrics[%d]", path, j)
			source, findings := m.resolve(rollout, at, &step.Analysis.Metrics[j])
			found = append(found, findings...)
			if source != nil {
				found = append(found, stepMetric{rollout.place, at, step.Analysis.Metrics[j].Name, source}.check(path, step.Analysis, canary)...)
			}
		}
	}
	return found
}

// resolve checks a metric of a rollout, and returns how it is measured; nil if that is not in the files. A CanaryMetric is
// checked where it is defined.
func (m *Manifests) resolve(rollout Rollout, path string, metric *v1alpha1.Metric) (*v1alpha1.MetricSource, []Finding) {
	ref := metric.MetricRef
	if ref == nil {
		d := definition{place: rollout.place, path: path, MetricSource: &metric.MetricSource}
		return d.MetricSource, d.check()
	}
	shared, found := m.findMetric(rollout, path+".metricRef", ref)
	if shared == nil {
		return nil, found
	}
	if _, err := plan.Arguments(shared.Spec.Arguments, ref.Arguments); err != nil {
		found = append(found, rollout.place.find(Error, IDInvalidMetric, path+".metricRef.arguments", err.Error()))
	}
	return &shared.Spec.MetricSource, found
}

// Metric returns a function that looks up the CanaryMetrics of a rollout; it returns nil for one that is not in the files.
func (m *Manifests) Metric(rollout Rollout) func(*v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec {
	return func(ref *v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec {
		if metric, _ := m.findMetric(rollout, "", ref); metric != nil {
			return &metric.Spec
		}
		return nil
	}
}

// findMetric looks up a CanaryMetric. The namespace of the operator is not known here, so a shared one may be in any.
func (m *Manifests) findMetric(rollout Rollout, path string, ref *v1alpha1.MetricReference) (*Metric, []Finding) {
	var elsewhere *Metric
	for i := range m.Metrics {
		switch metric := &m.Metrics[i]; {
		case metric.Name != ref.Name:
		case ref.Scope == v1alpha1.MetricScopeShared || isSame(metric.Namespace, rollout.Namespace):
			return metric, nil
		default:
			elsewhere = metric
		}
	}
	if elsewhere != nil {
		return nil, []Finding{rollout.place.find(Error, IDNamespace, path, fmt.Sprintf(
			"CanaryMetric %s is in namespace %s, and the rollout in %s: put it into the namespace of the rollout, or set scope: Shared if the operator runs there",
			ref.Name, elsewhere.Namespace, rollout.Namespace))}
	}
	return nil, []Finding{rollout.place.find(Note, IDUnchecked, path, fmt.Sprintf("CanaryMetric %s is not in these files: not checked", ref.Name))}
}

// traffic is what the steps have asked for so far.
type traffic struct {
	weight, mirror int32
	headerRoutes   map[string]bool
}

func (t *traffic) follow(step *v1alpha1.Step) {
	t.weight = ptr.Deref(step.SetWeight, t.weight)
	if step.SetMirrorRoute != nil {
		t.mirror = ptr.Deref(step.SetMirrorRoute.Percent, 0)
	}
	if route := step.SetHeaderRoute; route != nil {
		t.headerRoutes[route.Name] = len(route.Matches) > 0
	}
}

func (t *traffic) reachesCanary() bool {
	for _, isActive := range t.headerRoutes {
		if isActive {
			return true
		}
	}
	return t.weight > 0 || t.mirror > 0
}

func sendsRequests(steps []v1alpha1.Step) bool {
	t := traffic{headerRoutes: map[string]bool{}}
	for i := range steps {
		if t.follow(&steps[i]); t.reachesCanary() {
			return true
		}
	}
	return false
}

// stepMetric is a metric of an analysis step.
type stepMetric struct {
	rollout    object
	path, name string
	source     *v1alpha1.MetricSource
}

func (s stepMetric) check(step string, analysis *v1alpha1.AnalysisStep, canary traffic) []Finding {
	var found []Finding
	if s.source.Compare != nil {
		switch {
		case !canary.reachesCanary():
			found = append(found, s.rollout.find(Warning, IDNoRequests, s.path, fmt.Sprintf(
				"no requests go to the canary at this step, so metric %s has nothing to compare: put setWeight before it", s.name)))
		case canary.weight == 100:
			found = append(found, s.rollout.find(Warning, IDNoRequests, s.path, fmt.Sprintf(
				"no requests go to the stable revision at weight 100, so metric %s has nothing to compare with: put the step before setWeight 100", s.name)))
		}
	}
	schedule := s.schedule()
	count := ptr.Deref(schedule.Count, v1alpha1.DefaultMetricCount)
	if limit := ptr.Deref(schedule.FailureLimit, 0); limit >= count {
		found = append(found, s.rollout.find(Warning, IDNeverFails, s.path, fmt.Sprintf(
			"metric %s tolerates %s, and %s decide: it can never fail: set failureLimit to less than count",
			s.name, plan.Quantity(limit, "failure"), plan.Quantity(count, "measurement"))))
	}
	if takes := s.takes(count); takes >= analysis.Duration.Duration {
		found = append(found, s.rollout.find(Warning, IDStepTooShort, step+".duration", fmt.Sprintf(
			"metric %s takes more than %s, and the step ends after %s, without a verdict: raise duration, or lower count, interval, window or initialDelay",
			s.name, plan.Duration(takes), plan.Duration(analysis.Duration.Duration))))
	}
	return found
}

// schedule returns the schedule of a metric. The one verdict of a comparison and of a Job is like one measurement.
func (s stepMetric) schedule() v1alpha1.Schedule {
	switch {
	case s.source.Threshold != nil:
		return s.source.Threshold.Schedule
	case s.source.Web != nil:
		return s.source.Web.Schedule
	default:
		return v1alpha1.Schedule{Count: ptr.To[int32](1)}
	}
}

// takes returns the shortest time in which a metric can pass, without the scrape interval and the delay of its provider.
func (s stepMetric) takes(count int32) time.Duration {
	schedule := s.schedule()
	takes := lasting(schedule.InitialDelay, 0) + time.Duration(count-1)*lasting(schedule.Interval, v1alpha1.DefaultMetricInterval)
	switch {
	case s.source.Threshold != nil:
		return takes + lasting(s.source.Threshold.Window, v1alpha1.DefaultMetricWindow)
	case s.source.Compare != nil:
		return lasting(s.source.Compare.Interval, v1alpha1.DefaultComparisonInterval)
	default:
		return takes
	}
}
