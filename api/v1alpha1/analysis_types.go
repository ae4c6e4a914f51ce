// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Analysis judges a release by metrics while its steps run.
type Analysis struct {
	// metrics are measured in the background, from the first verified weight above 0 until the steps are done. A release with a
	// metric that fails is aborted. With spec.bake, they are measured until the bake ends.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Metrics []Metric `json:"metrics,omitempty"`
}

// AnalysisStep holds a release until its metrics have passed. A metric is measured only while the traffic that the steps ask for
// is verified and settled, and each Service has the pods of one revision.
type AnalysisStep struct {
	// duration is how long the step lasts at most, for example 10m. The clock stops while the canary does not have the traffic
	// that the steps ask for.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 10s, 5m or 1h30m"
	Duration metav1.Duration `json:"duration,omitzero"`

	// onInconclusive says what to do at the end of duration if a metric has neither passed nor failed, or before it if a metric
	// cannot be measured: Pause (the default) waits to be promoted or aborted, Proceed continues with the next step, Abort aborts
	// the release.
	// +optional
	// +default="Pause"
	OnInconclusive InconclusiveAction `json:"onInconclusive,omitempty"`

	// metrics must all pass.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Metrics []Metric `json:"metrics,omitempty"`
}

// InconclusiveAction says what to do at the end of an analysis step without a verdict.
//
// +kubebuilder:validation:Enum=Pause;Proceed;Abort
type InconclusiveAction string

const (
	// InconclusivePause waits to be promoted or aborted.
	InconclusivePause InconclusiveAction = "Pause"
	// InconclusiveProceed continues with the next step.
	InconclusiveProceed InconclusiveAction = "Proceed"
	// InconclusiveAbort aborts the release.
	InconclusiveAbort InconclusiveAction = "Abort"
)

// Metric is measured and judged; exactly one of metricRef, compare, threshold, web and job is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.metricRef), has(self.compare), has(self.threshold), has(self.web), has(self.job)].filter(set, set).size() == 1",message="a metric must have exactly one of metricRef, compare, threshold, web and job"
type Metric struct {
	// name identifies the metric in status, Events and messages, for example errors.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and dashes, beginning with a letter, for example errors"
	Name string `json:"name,omitempty"`

	// metricRef names a CanaryMetric that defines the metric.
	// +optional
	MetricRef *MetricReference `json:"metricRef,omitempty"`

	MetricSource `json:",inline"`
}

// MetricSource says how a metric is measured and judged. Selectors, queries, paths and Jobs may contain variables: {{namespace}},
// {{rollout}}, {{service}}, {{revision}}, {{replicaSet}}, {{window}}, {{args.NAME}} and others, which the documentation lists.
type MetricSource struct {
	// compare compares the bad requests of the canary with those of the stable revision. It fails a bad canary as soon as the
	// evidence is sufficient, and a good one with a chance of at most falseAlarm.
	// +optional
	Compare *Comparison `json:"compare,omitempty"`

	// threshold checks the result of a PromQL query by a minimum, a maximum or an expression.
	// +optional
	Threshold *Threshold `json:"threshold,omitempty"`

	// web checks a JSON document that a web provider returns.
	// +optional
	Web *WebMetric `json:"web,omitempty"`

	// job runs a Job. The metric passes when the Job completes, and fails when the Job fails. The administrator of the operator
	// must have allowed Jobs.
	// +optional
	Job *JobMetric `json:"job,omitempty"`
}

// MetricScope is the namespace of a CanaryMetric.
//
// +kubebuilder:validation:Enum=Namespace;Shared
type MetricScope string

const (
	// MetricScopeNamespace is the namespace of the rollout.
	MetricScopeNamespace MetricScope = "Namespace"
	// MetricScopeShared is the namespace of the operator.
	MetricScopeShared MetricScope = "Shared"
)

// MetricReference names a CanaryMetric.
type MetricReference struct {
	// name is the name of the CanaryMetric.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a CanaryMetric: lower case letters, digits, dashes and dots"
	Name string `json:"name,omitempty"`

	// scope is the namespace of the CanaryMetric: Namespace (the default) is that of the rollout, Shared is that of the operator.
	// +optional
	// +default="Namespace"
	Scope MetricScope `json:"scope,omitempty"`

	// arguments are the values of arguments that the CanaryMetric declares. Those that have no default must be here.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Arguments []MetricArgument `json:"arguments,omitempty"`
}

// MetricArgument is the value of an argument of a CanaryMetric. Texts of the CanaryMetric contain it as {{args.NAME}}.
type MetricArgument struct {
	// name of the argument.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and dashes, beginning with a letter"
	Name string `json:"name,omitempty"`

	// value of the argument.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Value *string `json:"value,omitempty"`
}

// Comparison compares the share of bad requests of the canary with that of the stable revision. The canary fails when it is
// worse than both tolerances allow. The chance that this is wrong is at most falseAlarm, over the whole release and however often
// it is measured. The canary passes when it is known to be good enough.
//
// total, bad and good are PromQL series selectors of counters, without a function and without a range, for example
// requests_total{service="{{service}}", code=~"5.."}. Each is evaluated for both revisions, with their own values of {{service}},
// {{revision}} and {{replicaSet}}, and must contain one of these.
//
// +kubebuilder:validation:XValidation:rule="has(self.bad) != has(self.good)",message="a comparison must have exactly one of bad and good"
type Comparison struct {
	// provider is the name of a Prometheus provider, as the administrator of the operator has named it.
	// +optional
	// +default="default"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Provider string `json:"provider,omitempty"`

	// total is the series selector of the counter of all requests.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('[{][{] *(service|revision|replicaSet) *[}][}]')",message="must contain one of {{service}}, {{revision}} and {{replicaSet}}: otherwise it counts the same requests for both revisions"
	Total string `json:"total,omitempty"`

	// bad is the series selector of the counter of bad requests, for example those with a status of 500 or more.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('[{][{] *(service|revision|replicaSet) *[}][}]')",message="must contain one of {{service}}, {{revision}} and {{replicaSet}}: otherwise it counts the same requests for both revisions"
	Bad string `json:"bad,omitempty"`

	// good is the series selector of the counter of good requests, for example of the bucket of a histogram with those that were
	// fast enough. It replaces bad.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('[{][{] *(service|revision|replicaSet) *[}][}]')",message="must contain one of {{service}}, {{revision}} and {{replicaSet}}: otherwise it counts the same requests for both revisions"
	Good string `json:"good,omitempty"`

	// tolerance says how much worse than the stable revision the canary may be.
	// +optional
	Tolerance Tolerance `json:"tolerance,omitzero"`

	// falseAlarm is the greatest accepted chance, in percent, that a good canary fails during the whole release.
	// +optional
	// +default="1"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,6})?$') && double(self) > 0.0 && double(self) <= 50.0",message="must be a percentage above 0 and at most 50, for example 1 or 0.1"
	FalseAlarm string `json:"falseAlarm,omitempty"`

	// clusterSize is how many bad requests of one revision can have one cause, for example 3 if the gateway tries a request up to
	// 3 times and counts each. The chance of a false alarm holds for clusters up to that size, and a failure takes as many
	// times more bad requests.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	ClusterSize *int32 `json:"clusterSize,omitempty"`

	// interval is the time between two measurements, for example 10s. An interval shorter than the scrape interval of the
	// provider has no benefit.
	// +optional
	// +default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, for example 10s"
	Interval *metav1.Duration `json:"interval,omitempty"`
}

// Tolerance says how much worse than the stable revision a canary may be. A canary fails only if it exceeds both relative and
// absolute.
type Tolerance struct {
	// relative is by how many percent the share of bad requests may exceed that of the stable revision: with 25, a canary with 5
	// bad requests in 1000 is as good as a stable revision with 4.
	// +optional
	// +default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Relative *int32 `json:"relative,omitempty"`

	// absolute is the share of bad requests, in percent, that is always tolerated, however good the stable revision is.
	// +optional
	// +default="0.5"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,2}([.][0-9]{1,6})?$')",message="must be a percentage below 100, for example 0.5; 0 means that only relative counts"
	Absolute string `json:"absolute,omitempty"`
}

// Schedule says how often something is measured and how many failures are tolerated.
type Schedule struct {
	// interval is the time between two measurements, for example 30s.
	// +optional
	// +default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, for example 30s"
	Interval *metav1.Duration `json:"interval,omitempty"`

	// count is how many measurements with a usable answer an analysis step takes. The metric passes with the last one. In
	// spec.analysis, a metric is measured until the steps are done, and count has no meaning.
	// +optional
	// +default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Count *int32 `json:"count,omitempty"`

	// failureLimit is how many measurements may be bad. The metric fails with the next one.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	FailureLimit *int32 `json:"failureLimit,omitempty"`

	// consecutiveErrorLimit is how many measurements in a row may end without a usable answer, for example because the provider
	// is down. With the next one, an analysis step is inconclusive. In spec.analysis, it has no meaning.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ConsecutiveErrorLimit *int32 `json:"consecutiveErrorLimit,omitempty"`

	// initialDelay is the time before the first measurement, in addition to the window of a threshold.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$')",message="must be a duration, for example 1m"
	InitialDelay *metav1.Duration `json:"initialDelay,omitempty"`
}

// Threshold checks the result of a PromQL query, which must be a scalar or a vector of one sample. An empty result and NaN are no
// data: neither good nor bad.
//
// +kubebuilder:validation:XValidation:rule="has(self.min) || has(self.max) || has(self.condition)",message="a threshold must have min, max or condition"
// +kubebuilder:validation:XValidation:rule="!has(self.condition) || !has(self.min) && !has(self.max)",message="condition replaces min and max: remove them, or condition"
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || !self.min.matches('^-?[0-9]+([.][0-9]+)?$') || !self.max.matches('^-?[0-9]+([.][0-9]+)?$') || double(self.min) <= double(self.max)",message="min must not be larger than max: no result could be good"
type Threshold struct {
	// provider is the name of a Prometheus provider, as the administrator of the operator has named it.
	// +optional
	// +default="default"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Provider string `json:"provider,omitempty"`

	// query is a PromQL query. The variables {{service}}, {{revision}} and {{replicaSet}} are those of the canary.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query,omitempty"`

	// window is the value of {{window}} in query, for example 1m. The first measurement waits until the canary has had its
	// traffic for that long.
	// +optional
	// +default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) >= duration('1s')",message="must be a duration of at least 1s, for example 1m"
	Window *metav1.Duration `json:"window,omitempty"`

	// min is the smallest result that is good.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^-?[0-9]{1,15}([.][0-9]{1,9})?$')",message="must be a number, for example 0.99"
	Min string `json:"min,omitempty"`

	// max is the largest result that is good.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^-?[0-9]{1,15}([.][0-9]{1,9})?$')",message="must be a number, for example 0.3"
	Max string `json:"max,omitempty"`

	// condition is a CEL expression that is true if the result of the query, the number result, is good, for example
	// result > 0.1 && result < 0.3. It replaces min and max.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Condition string `json:"condition,omitempty"`

	Schedule `json:",inline"`
}

// WebMetric checks a JSON document of a web provider, which the administrator of the operator has named.
type WebMetric struct {
	// provider is the name of a web provider, as the administrator of the operator has named it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Provider string `json:"provider,omitempty"`

	// path is the path and the query of the request, below the URL of the provider, for example
	// /checks?service={{service}}&revision={{revision}}.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.startsWith('//')",message="must begin with one /, and has no scheme and no host: those are the provider's"
	Path string `json:"path,omitempty"`

	// condition is a CEL expression that is true if the document, result, is good, for example result.failed == 0.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Condition string `json:"condition,omitempty"`

	Schedule `json:",inline"`
}

// JobMetric runs one Job in the namespace of the rollout. A Job that cannot be created, or whose pod does not start, gives no
// verdict. A pod that is evicted is replaced and does not count, unless the template has a podFailurePolicy or restarts containers. A
// Job that has not finished is deleted when its step or the release is over. A finished one stays for an hour, or for its
// ttlSecondsAfterFinished, so that its logs can be read.
type JobMetric struct {
	// template describes the Job like spec.jobTemplate of a CronJob does. Its strings may contain variables.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	Template runtime.RawExtension `json:"template,omitzero"`
}

// Bake keeps the former revision at full size for some time after the new one has all traffic, so that the release can still be
// rolled back at once.
type Bake struct {
	// duration is how long the former revision is kept, for example 30m. An abort, or a metric of spec.analysis that fails,
	// rolls back to it. A promote command ends the bake.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$') && duration(self) > duration('0s')",message="must be a positive duration, for example 30m"
	Duration metav1.Duration `json:"duration,omitzero"`
}
