// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// metric is a metric of the spec, with its reference resolved.
type metric struct {
	name   string
	scope  v1alpha1.MetricStatusScope
	source v1alpha1.MetricSource
	// arguments are the values of {{args.NAME}}.
	arguments map[string]string
	// definition is a hash of what is measured.
	definition string
	// test is the test of a comparison; nil if there is none.
	test *analysis.Test
	// problem is why the metric cannot be measured until the user has changed something; nil if it can.
	problem *Problem
}

// metrics returns the metrics that can be measured at the current point of the release, in the order of the spec.
func (v view) metrics() []metric {
	var all []metric
	background := v1alpha1.MetricBackground
	if v.isBaking() {
		background = v1alpha1.MetricBake
	}
	if v.in.Spec.Analysis != nil {
		for i := range v.in.Spec.Analysis.Metrics {
			all = append(all, v.resolved(&v.in.Spec.Analysis.Metrics[i], background))
		}
	}
	if step := v.analysisStep(); step != nil {
		for i := range step.Metrics {
			all = append(all, v.resolved(&step.Metrics[i], v1alpha1.MetricStep))
		}
	}
	return all
}

// metricUse is a metric of the spec in one scope.
type metricUse struct {
	from  *v1alpha1.Metric
	scope v1alpha1.MetricStatusScope
}

// resolved returns a metric of the spec with its reference resolved. In a pass, every view gets the same: what a metric is does not
// depend on what the pass decides.
func (v view) resolved(from *v1alpha1.Metric, scope v1alpha1.MetricStatusScope) metric {
	use := metricUse{from, scope}
	m, isKnown := v.uses[use]
	if !isKnown {
		m = v.resolve(from, scope)
		v.uses[use] = m
	}
	return m
}

// resolve replaces a reference to a CanaryMetric by what that says.
func (v view) resolve(from *v1alpha1.Metric, scope v1alpha1.MetricStatusScope) metric {
	m := metric{name: from.Name, scope: scope, source: from.MetricSource}
	if ref := from.MetricRef; ref != nil {
		shared := v.sharedMetric(ref)
		if shared.Spec == nil {
			m.problem = m.isInvalid(shared.Problem.Reason, "%s", shared.Problem.Message)
			return m
		}
		m.source = shared.Spec.MetricSource
		values, err := Arguments(shared.Spec.Arguments, ref.Arguments)
		if err != nil {
			m.problem = m.isInvalid(v1alpha1.ReasonInvalidMetric, "%s", err)
		}
		m.arguments = values
	}
	m.definition = m.hash()
	m.test = v.newTest(m)
	m.problem = cmp.Or(m.problem, m.unknownVariable(v), m.unknownProvider(v))
	return m
}

func (v view) sharedMetric(ref *v1alpha1.MetricReference) SharedMetric {
	for _, shared := range v.in.Observed.Metrics {
		if shared.Name == ref.Name && (shared.Scope == v1alpha1.MetricScopeShared) == (ref.Scope == v1alpha1.MetricScopeShared) {
			return shared
		}
	}
	return SharedMetric{Problem: &Problem{Reason: v1alpha1.ReasonMetricNotFound, Message: "CanaryMetric " + ref.Name + " was not read"}}
}

// Arguments returns the values of the arguments that a CanaryMetric declares, for a reference that gives some.
func Arguments(declared []v1alpha1.ArgumentDeclaration, given []v1alpha1.MetricArgument) (map[string]string, error) {
	values := make(map[string]string, len(declared))
	isDeclared := make(map[string]bool, len(declared))
	for _, argument := range declared {
		isDeclared[argument.Name] = true
		if argument.Default != nil {
			values[argument.Name] = *argument.Default
		}
	}
	for _, argument := range given {
		if !isDeclared[argument.Name] {
			return nil, fmt.Errorf("its CanaryMetric has no argument %s: remove it from metricRef.arguments", argument.Name)
		}
		values[argument.Name] = ptr.Deref(argument.Value, "")
	}
	for _, argument := range declared {
		if _, isSet := values[argument.Name]; !isSet {
			return nil, fmt.Errorf("the argument %s has no value: add it to metricRef.arguments", argument.Name)
		}
	}
	return values, nil
}

// isInvalid returns a problem of a metric that a user has to fix.
func (m metric) isInvalid(reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf("metric %s cannot be measured: ", m.name) + fmt.Sprintf(format, args...)}
}

// hash returns a hash of everything that the user says about a metric. What was measured by another definition does not count.
func (m metric) hash() string {
	hash := fnv.New64a()
	// Encoding structs and maps of strings and numbers cannot fail, nor can writing to a hash. An invalid template of a Job
	// is no JSON, and is not created either.
	encoded, _ := json.Marshal([]any{m.source, m.arguments})
	_, _ = hash.Write(encoded)
	return strconv.FormatUint(hash.Sum64(), 36)
}

// unknownVariable returns the first variable that does not exist.
func (m metric) unknownVariable(v view) *Problem {
	for _, text := range m.texts() {
		if _, err := analysis.Expand(text, v.variables(m, v.canarySide())); err != nil {
			return m.isInvalid(v1alpha1.ReasonInvalidMetric, "%s", excerpt(err.Error()))
		}
	}
	return nil
}

// texts returns the texts in which variables are replaced.
func (m metric) texts() []string {
	switch source := m.source; {
	case source.Compare != nil:
		return []string{source.Compare.Total, source.Compare.Bad, source.Compare.Good}
	case source.Threshold != nil:
		return []string{source.Threshold.Query}
	case source.Web != nil:
		return []string{source.Web.Path}
	case source.Job != nil:
		return []string{string(source.Job.Template.Raw)}
	default:
		return nil
	}
}

func (m metric) unknownProvider(v view) *Problem {
	provider, isFound := v.in.Observed.Providers[m.provider()]
	switch {
	case m.source.Job != nil && !v.in.Observed.JobsAllowed:
		return m.isInvalid(v1alpha1.ReasonJobsNotAllowed, "the operator may not run Jobs: its administrator can allow that with --allow-jobs")
	case m.source.Job != nil:
		return nil
	case !isFound:
		return m.isInvalid(v1alpha1.ReasonProviderNotFound, "the operator has no provider %s: its administrator names the providers in the file of --metric-providers",
			m.provider())
	case provider.Web != (m.source.Web != nil):
		return m.isInvalid(v1alpha1.ReasonProviderNotFound, "the provider %s is of another kind than the metric", m.provider())
	default:
		return nil
	}
}

func (m metric) provider() string {
	switch source := m.source; {
	case source.Compare != nil:
		return cmp.Or(source.Compare.Provider, v1alpha1.DefaultProvider)
	case source.Threshold != nil:
		return cmp.Or(source.Threshold.Provider, v1alpha1.DefaultProvider)
	case source.Web != nil:
		return source.Web.Provider
	default:
		return ""
	}
}

// side is one of the two revisions that a metric may be about.
type side struct{ service, revision string }

// canarySide returns the revision that is judged, and the Service that its requests go through.
func (v view) canarySide() side {
	if v.isBaking() {
		return side{v.mem.StableService.Name, v.mem.CurrentRevision}
	}
	return side{v.mem.CanaryService.Name, v.mem.CurrentRevision}
}

func (v view) stableSide() side { return side{v.mem.StableService.Name, v.mem.StableRevision} }

// variables returns the values of the variables in the texts of a metric that is evaluated for one of the revisions.
func (v view) variables(m metric, about side) map[string]string {
	values := map[string]string{
		"namespace": v.in.Namespace, "rollout": v.in.Name,
		"stableService": v.mem.StableService.Name, "canaryService": v.mem.CanaryService.Name,
		"stableRevision": v.mem.StableRevision, "canaryRevision": v.mem.CurrentRevision,
		"stableReplicaSet": v.replicaSet(v.mem.StableRevision).Name, "canaryReplicaSet": v.replicaSet(v.mem.CurrentRevision).Name,
		"service": about.service, "revision": about.revision, "replicaSet": v.replicaSet(about.revision).Name,
		"window": promDuration(m.window()),
	}
	for name, value := range m.arguments {
		values["args."+name] = value
	}
	return values
}

// inJSON returns values as they are written within a string of JSON. The templates of Jobs are JSON.
func inJSON(values map[string]string) map[string]string {
	quoted := make(map[string]string, len(values))
	for name, value := range values {
		encoded, _ := json.Marshal(value) // encoding a string cannot fail
		quoted[name] = string(encoded[1 : len(encoded)-1])
	}
	return quoted
}

// promDuration formats a duration as PromQL does.
func promDuration(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// window is how far back a measurement looks, beyond the last sample. A comparison has no window: it counts from one measurement
// to the next.
func (m metric) window() time.Duration {
	if m.source.Threshold == nil {
		return 0
	}
	return lasting(m.source.Threshold.Window, v1alpha1.DefaultMetricWindow)
}

// interval is the time between two measurements.
func (m metric) interval() time.Duration {
	if m.source.Compare != nil {
		return lasting(m.source.Compare.Interval, v1alpha1.DefaultComparisonInterval)
	}
	return lasting(m.schedule().Interval, v1alpha1.DefaultMetricInterval)
}

// schedule returns the schedule of a threshold or a web metric; the zero value for others.
func (m metric) schedule() v1alpha1.Schedule {
	switch source := m.source; {
	case source.Threshold != nil:
		return source.Threshold.Schedule
	case source.Web != nil:
		return source.Web.Schedule
	default:
		return v1alpha1.Schedule{}
	}
}

// limits returns how many measurements an analysis step takes, and how many of them may be bad. A Job runs once.
func (m metric) limits() (count, failures int32) {
	if m.source.Job != nil {
		return 1, 0
	}
	schedule := m.schedule()
	return max(ptr.Deref(schedule.Count, v1alpha1.DefaultMetricCount), 1), ptr.Deref(schedule.FailureLimit, 0)
}

func lasting(d *metav1.Duration, fallback time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return fallback
	}
	return d.Duration
}

// newTest returns the test of a comparison; nil if there is none. After a promotion the new revision is compared with its own past.
func (v view) newTest(m metric) *analysis.Test {
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

// comparison returns what a metric compares, and how.
func (m metric) comparison() analysis.Comparison {
	compare := m.source.Compare
	return analysis.Comparison{
		Ratio:       1 + float64(ptr.Deref(compare.Tolerance.Relative, v1alpha1.DefaultRelativeTolerance))/100,
		Rate:        fraction(compare.Tolerance.Absolute, v1alpha1.DefaultAbsoluteTolerance),
		FalseAlarm:  fraction(compare.FalseAlarm, v1alpha1.DefaultFalseAlarm),
		ClusterSize: float64(ptr.Deref(compare.ClusterSize, v1alpha1.DefaultClusterSize)),
		ByPod:       isByPod(compare),
	}
}

// isByPod reports whether the counters are those of pods, each of which is scraped at its own moment. A gateway counts for both
// Services at once.
func isByPod(compare *v1alpha1.Comparison) bool {
	return slices.ContainsFunc(analysis.Variables(compare.Total), func(name string) bool {
		return name == analysis.VariableRevision || name == analysis.VariableReplicaSet
	})
}

// fraction returns a percentage as a fraction. Admission refuses what is no number.
func fraction(text, fallback string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		value, _ = strconv.ParseFloat(fallback, 64) // a constant
	}
	return value / 100
}
