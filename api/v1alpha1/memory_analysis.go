// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnalysisMemory is what has been measured of the release in flight.
type AnalysisMemory struct {
	// attempt distinguishes the releases of one revision, and what was measured before and after an edit of the steps. A
	// measurement that was made for another attempt does not count.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempt int32 `json:"attempt,omitempty"`
	// background are the metrics of spec.analysis.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Background []MetricMemory `json:"background,omitempty"`
	// step are the metrics of the current step.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Step []MetricMemory `json:"step,omitempty"`
	// bake are the metrics of spec.analysis, measured in the bake.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Bake []MetricMemory `json:"bake,omitempty"`
}

// BakeMemory is a bake in progress.
type BakeMemory struct {
	// since is when the new revision served all traffic.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
	// ended is set when a user has ended the bake.
	// +optional
	Ended bool `json:"ended,omitempty"`
}

// MetricVerdict is what the measurements of a metric say.
//
// +kubebuilder:validation:Enum=Open;Passed;Failed;Inconclusive
type MetricVerdict string

const (
	// VerdictOpen says that more measurements may decide.
	VerdictOpen MetricVerdict = "Open"
	// VerdictPassed says that the canary is good.
	VerdictPassed MetricVerdict = "Passed"
	// VerdictFailed says that the canary is bad.
	VerdictFailed MetricVerdict = "Failed"
	// VerdictInconclusive says that no verdict was possible.
	VerdictInconclusive MetricVerdict = "Inconclusive"
)

// MetricMemory is what has been measured of one metric.
type MetricMemory struct {
	// name of the metric.
	// +required
	Name string `json:"name"`
	// definition is a hash of the definition of the metric. A metric that is edited starts over.
	// +optional
	Definition string `json:"definition,omitempty"`
	// number is how many measurements have ended, with or without a usable answer. It identifies the next one.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Number int32 `json:"number,omitempty"`
	// countedUntil is the end of the last interval that a comparison has counted.
	// +optional
	CountedUntil *metav1.MicroTime `json:"countedUntil,omitempty"`
	// startedAt is when the Job of the metric was first asked for.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// measuredAt is when the last measurement ended.
	// +optional
	MeasuredAt *metav1.MicroTime `json:"measuredAt,omitempty"`
	// failures is how many measurements were bad.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`
	// successes is how many measurements were good.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Successes int32 `json:"successes,omitempty"`
	// errors is how many measurements in a row had no usable answer.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Errors int32 `json:"errors,omitempty"`
	// problem is why the last measurement had no usable answer.
	// +optional
	Problem string `json:"problem,omitempty"`
	// problemReason is the reason of the problem for conditions.
	// +optional
	ProblemReason string `json:"problemReason,omitempty"`
	// evidence is what a comparison has counted, encoded by the package analysis.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Evidence string `json:"evidence,omitempty"`
	// value is the last result, for people.
	// +optional
	Value string `json:"value,omitempty"`
	// verdict is what the measurements say. Failed is final, and at an analysis step also Passed.
	// +optional
	Verdict MetricVerdict `json:"verdict,omitempty"`
}
