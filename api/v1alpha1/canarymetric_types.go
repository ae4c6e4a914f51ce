// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CanaryMetric defines a metric once, for all rollouts that name it in metricRef: those of its namespace, and those of every
// namespace if it is in the namespace of the operator.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=cmet,categories=all
// +kubebuilder:printcolumn:name="Description",type=string,JSONPath=`.spec.description`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CanaryMetric struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how the metric is measured and judged.
	// +required
	Spec CanaryMetricSpec `json:"spec,omitzero"`
}

// CanaryMetricList is a list of CanaryMetrics.
//
// +kubebuilder:object:root=true
type CanaryMetricList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []CanaryMetric `json:"items"`
}

// CanaryMetricSpec says how a metric is measured and judged.
//
// +kubebuilder:validation:XValidation:rule="[has(self.compare), has(self.threshold), has(self.web), has(self.job)].filter(set, set).size() == 1",message="a CanaryMetric must have exactly one of compare, threshold, web and job"
type CanaryMetricSpec struct {
	// description says what the metric measures, for people.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Description string `json:"description,omitempty"`

	// arguments declares the arguments of the metric. Its selectors, queries, paths and Jobs contain them as {{args.NAME}}.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Arguments []ArgumentDeclaration `json:"arguments,omitempty"`

	MetricSource `json:",inline"`
}

// ArgumentDeclaration declares an argument of a CanaryMetric.
type ArgumentDeclaration struct {
	// name of the argument.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be lower case letters, digits and dashes, beginning with a letter"
	Name string `json:"name,omitempty"`

	// default is the value of the argument for a rollout that gives none. Without a default, a rollout must give a value.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Default *string `json:"default,omitempty"`
}
