// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// Measurement is what to measure, outside the passes, until a plan no longer asks for it. Exactly one of Probe, Compare, Threshold,
// Web and Job is set. Its texts have no variables left.
type Measurement struct {
	ID MeasurementID
	// NotBefore is the earliest time to measure.
	NotBefore time.Time

	Probe     *ProbeRequest
	Compare   *CompareRequest
	Threshold *ThresholdRequest
	Web       *WebRequest
	Job       *JobRequest
}

// MeasurementID identifies a measurement. A result counts only for the measurement with the same identity.
type MeasurementID struct {
	// Revision and Attempt identify the release. A release whose steps were edited is another attempt.
	Revision string
	Attempt  int32
	// Step is the number of the analysis step, starting at 1; 0 for the background, BakeStep for a bake.
	Step int32
	// Metric is the name of the metric; empty for the probe.
	Metric string
	// Definition is a hash of the definition of the metric.
	Definition string
	// Number is the number of the measurement, starting at 0.
	Number int32
	// Since is when the traffic that is measured had settled, in microseconds since 1970. What was measured for an earlier
	// time is not about this traffic.
	Since int64
}

// BakeStep is the Step of a measurement during a bake.
const BakeStep int32 = -1

// CompareRequest asks for the requests that were counted from a time until now. Each counter is a PromQL series selector.
type CompareRequest struct {
	Provider string
	From     time.Time
	// Stable is the zero value if there is no stable revision to compare with, as during a bake.
	Stable, Canary CounterPair
	// CountsGood is set if Part counts the good requests, not the bad ones.
	CountsGood bool
}

// CounterPair are the series selectors of the counters of one revision: all requests, and the bad or the good ones.
type CounterPair struct {
	Total, Part string
}

// ThresholdRequest asks for one evaluation of a PromQL query and its check.
type ThresholdRequest struct {
	Provider, Query string
	// Min and Max bound a good result, as decimal numbers; empty for none. Condition is a CEL expression that replaces both.
	Min, Max, Condition string
}

// WebRequest asks for one GET request of a JSON document and its check by a CEL expression.
type WebRequest struct {
	Provider, Path, Condition string
}

// JobRequest asks for one run of a Job. Its name follows from the identity of the measurement.
type JobRequest struct {
	// Template is the JSON of a JobTemplateSpec.
	Template string
}

// MeasurementOutcome is how a measurement ended.
type MeasurementOutcome string

// The outcomes of measurements. Only Counted, Good and Bad are usable answers.
const (
	// OutcomeCounted has counts of requests.
	OutcomeCounted MeasurementOutcome = "Counted"
	// OutcomeGood fulfills the condition.
	OutcomeGood MeasurementOutcome = "Good"
	// OutcomeBad does not fulfill the condition.
	OutcomeBad MeasurementOutcome = "Bad"
	// OutcomeNoData is an answer without a usable value: no sample, several, NaN, a document without the field.
	OutcomeNoData MeasurementOutcome = "NoData"
	// OutcomeError is no answer: unreachable, refused, or an error of the provider.
	OutcomeError MeasurementOutcome = "Error"
)

// Measured is the result of a measurement.
type Measured struct {
	ID      MeasurementID
	Outcome MeasurementOutcome
	// At is when the measurement ended; for a comparison the end of the interval.
	At time.Time
	// Counts are those of a comparison with OutcomeCounted.
	Counts analysis.Counts
	// Value is the result, for people.
	Value string
	// Problem is why there is no usable answer. Its Reason is one of the condition reasons about analysis.
	Problem *Problem
}

// Provider is a metric provider that the administrator of the operator has named.
type Provider struct {
	// Prometheus and Web are its kind: exactly one is set.
	Prometheus, Web bool
	// ScrapeInterval is how old its newest samples may be.
	ScrapeInterval time.Duration
	// Delay is how long samples take until they can be queried.
	Delay time.Duration
}

// SharedMetric is a CanaryMetric that the spec refers to.
type SharedMetric struct {
	Name  string
	Scope v1alpha1.MetricScope
	// Spec is shared with others: do not change it. It is nil if there is no such CanaryMetric.
	Spec *v1alpha1.CanaryMetricSpec
	// Problem is why Spec is nil.
	Problem *Problem
}
