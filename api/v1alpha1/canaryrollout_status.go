// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CanaryRolloutStatus is the observed state. Everything except memory and the histories is a report: it is computed again in
// every pass and is never the input of a decision. Memory is what cannot be observed again.
type CanaryRolloutStatus struct {
	// conditions are Ready, Reconciling, Stalled, Available, Progressing, Paused and TrafficRouted; Measured with an analysis; and
	// Notified with notifications.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// manager is the manager that last wrote this status, as namespace and name of its lease. Managers with different leases
	// must not manage the same rollouts. A manager that finds another one's status emits the Event SecondManager.
	// +optional
	Manager string `json:"manager,omitempty"`

	// state summarizes the rollout in one word.
	// +optional
	State State `json:"state,omitempty"`

	// message says what the rollout waits for, until when, and which command continues it.
	// +optional
	Message string `json:"message,omitempty"`

	// step is the number of the current step and the number of steps, for example 3/12.
	// +optional
	Step string `json:"step,omitempty"`

	// weight is the verified share in percent of the revision that is shown, and the desired share where it differs, for
	// example 10->20. It is 100 at rest, and 0 for an aborted revision. Programs read revisionWeight instead.
	// +optional
	Weight string `json:"weight,omitempty"`

	// revisionWeight is weight in numbers. It is absent as long as weight is empty.
	// +optional
	RevisionWeight *RevisionWeight `json:"revisionWeight,omitempty"`

	// revision is the revision in flight or aborted, or the stable revision when there is none.
	// +optional
	Revision string `json:"revision,omitempty"`

	// ready is the number of ready pods of all revisions that should serve, and their desired number, for example 4/4.
	// +optional
	Ready string `json:"ready,omitempty"`

	// images are the images of the stable revision, and those of the canary if there is one.
	// +optional
	Images string `json:"images,omitempty"`

	// replicas is the number of pods of the stable revision, which spec.replicas sets. The scale subresource reports it. An
	// autoscaler with an AverageValue target of an Object or External metric keeps this number while the average is within
	// its tolerance, so it must not include the canary's pods.
	// +optional
	Replicas int32 `json:"replicas"`

	// selector selects the pods of every revision. The scale subresource reports it. An autoscaler multiplies the average
	// usage of these pods by their number, which gives the whole load at any weight. Without the canary's pods, the stable
	// pods would look idle as the weight rises.
	// +optional
	Selector string `json:"selector,omitempty"`

	// stable describes the stable revision.
	// +optional
	Stable *RevisionStatus `json:"stable,omitempty"`

	// canary describes the revision in flight.
	// +optional
	Canary *RevisionStatus `json:"canary,omitempty"`

	// traffic is the desired and the verified traffic of the canary.
	// +optional
	Traffic *TrafficStatus `json:"traffic,omitempty"`

	// pause describes the current pause.
	// +optional
	Pause *PauseStatus `json:"pause,omitempty"`

	// analysis describes the metrics of the release in flight, or of the last one.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=24
	Analysis []MetricStatus `json:"analysis,omitempty"`

	// history lists the last ten releases, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []HistoryEntry `json:"history,omitempty"`

	// stepHistory lists the steps that have begun, of the release in flight or else of the last one. It starts again when the
	// steps are edited during a release.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	StepHistory []StepHistoryEntry `json:"stepHistory,omitempty"`

	// memory is what the controller cannot observe again. Do not edit it.
	// +optional
	Memory *Memory `json:"memory,omitempty"`
}

// State summarizes a rollout in one word.
//
// +kubebuilder:validation:Enum=Initializing;Healthy;Progressing;Paused;Promoting;Aborting;Aborted;Degraded;Terminating
type State string

const (
	// StateInitializing says that no revision is stable yet.
	StateInitializing State = "Initializing"
	// StateHealthy says that the template in spec is stable and available, and is verified to get all traffic.
	StateHealthy State = "Healthy"
	// StateProgressing says that the rollout is making a change, or waits for one to take effect.
	StateProgressing State = "Progressing"
	// StatePaused says that the release waits at a pause step, at an analysis step without a verdict, or because of spec.paused.
	StatePaused State = "Paused"
	// StatePromoting says that the steps are done and the new revision replaces the stable one.
	StatePromoting State = "Promoting"
	// StateAborting says that the release was aborted and traffic is returning to the stable revision.
	StateAborting State = "Aborting"
	// StateAborted says that the template in spec was aborted and the stable revision serves all traffic.
	StateAborted State = "Aborted"
	// StateDegraded says that the rollout needs help. The message and the condition Stalled say what to do.
	StateDegraded State = "Degraded"
	// StateTerminating says that the rollout is being deleted and its traffic is handed back.
	StateTerminating State = "Terminating"
)

// RevisionStatus describes the pods of a revision.
type RevisionStatus struct {
	// revision is the value of the label pod-template-hash.
	// +required
	Revision string `json:"revision"`
	// desired is the desired number of pods.
	// +optional
	Desired int32 `json:"desired"`
	// replicas is the number of pods.
	// +optional
	Replicas int32 `json:"replicas"`
	// ready is the number of ready pods.
	// +optional
	Ready int32 `json:"ready"`
	// available is the number of pods that have been ready for minReadySeconds.
	// +optional
	Available int32 `json:"available"`
}

// RevisionWeight is the share of the traffic that status.revision gets.
type RevisionWeight struct {
	// verified is the share in percent that was last verified on every route.
	// +optional
	Verified int32 `json:"verified"`
	// desired is the share in percent that the current step or phase asks for.
	// +optional
	Desired int32 `json:"desired"`
}

// TrafficStatus is the desired and the verified traffic of the canary.
type TrafficStatus struct {
	// desiredWeight is the canary's share in percent that the routes should carry now.
	// +optional
	DesiredWeight int32 `json:"desiredWeight"`
	// verifiedWeight is the canary's share in percent that was last verified on every route.
	// +optional
	VerifiedWeight int32 `json:"verifiedWeight"`
	// headerRoutes are the names of the header routes that the routes should carry now.
	// +optional
	// +listType=atomic
	HeaderRoutes []string `json:"headerRoutes,omitempty"`
	// mirrorPercent is the share of requests in percent that should be copied to the canary now.
	// +optional
	MirrorPercent int32 `json:"mirrorPercent,omitempty"`
	// routes are the desired and the verified weight of each route.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Routes []RouteStatus `json:"routes,omitempty"`
}

// RouteStatus is the desired and the verified weight of one route.
type RouteStatus struct {
	// kind of the route.
	// +required
	Kind string `json:"kind"`
	// name of the route.
	// +required
	Name string `json:"name"`
	// desiredWeight is the canary's share in percent that the route should carry now.
	// +optional
	DesiredWeight int32 `json:"desiredWeight"`
	// verifiedWeight is the canary's share in percent that was last verified on the route; absent before the first.
	// +optional
	VerifiedWeight *int32 `json:"verifiedWeight,omitempty"`
	// pending says, parent by parent, what is missing until the desired weight is verified.
	// +optional
	Pending string `json:"pending,omitempty"`
}

// PauseStatus describes a pause.
type PauseStatus struct {
	// reason is PauseStep, SpecPaused, or Inconclusive for an analysis step without a verdict.
	// +optional
	Reason string `json:"reason,omitempty"`
	// startedAt is when the pause step began. It is not set for other reasons.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// until is when the pause ends by itself, or when its onTimeout takes effect.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// MetricStatusScope says when a metric is measured.
//
// +kubebuilder:validation:Enum=Background;Step;Bake
type MetricStatusScope string

const (
	// MetricBackground is measured during the steps.
	MetricBackground MetricStatusScope = "Background"
	// MetricStep is measured at an analysis step.
	MetricStep MetricStatusScope = "Step"
	// MetricBake is measured during the bake.
	MetricBake MetricStatusScope = "Bake"
)

// MetricStatus describes the measurements of one metric.
type MetricStatus struct {
	// name of the metric.
	// +required
	Name string `json:"name"`
	// scope says when the metric is measured: Background during the steps, Step at the analysis step that it belongs to, and
	// Bake at the end of a promotion.
	// +optional
	Scope MetricStatusScope `json:"scope,omitempty"`
	// verdict is what the measurements say so far.
	// +optional
	Verdict MetricVerdict `json:"verdict,omitempty"`
	// value is the last result.
	// +optional
	Value string `json:"value,omitempty"`
	// measurements is how many usable answers there were.
	// +optional
	Measurements int32 `json:"measurements"`
	// failures is how many of them were bad. A comparison has none: it counts requests.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// errors is how many measurements in a row had no usable answer.
	// +optional
	Errors int32 `json:"errors,omitempty"`
	// failureEvidence is how far the evidence for a failure has come, in percent of what a verdict takes. That of a comparison
	// goes up and down; for other metrics it is the share of failureLimit + 1 that has been bad.
	// +optional
	FailureEvidence int32 `json:"failureEvidence,omitempty"`
	// passEvidence is how far the evidence for a pass has come, in percent of what a verdict takes. For metrics of an analysis
	// step that are no comparisons, it is the share of count that has been measured.
	// +optional
	PassEvidence int32 `json:"passEvidence,omitempty"`
	// message says in words what was measured, or why nothing could be.
	// +optional
	Message string `json:"message,omitempty"`
}

// Outcome is how a release ended.
//
// +kubebuilder:validation:Enum=InProgress;Promoted;Aborted;Superseded;Reverted
type Outcome string

const (
	// OutcomeInProgress is a release that is in flight.
	OutcomeInProgress Outcome = "InProgress"
	// OutcomePromoted is a release whose revision became stable.
	OutcomePromoted Outcome = "Promoted"
	// OutcomeAborted is a release that was aborted.
	OutcomeAborted Outcome = "Aborted"
	// OutcomeSuperseded is a release that was replaced by a newer template.
	OutcomeSuperseded Outcome = "Superseded"
	// OutcomeReverted is a release that ended because the user applied the stable template again.
	OutcomeReverted Outcome = "Reverted"
)

// HistoryEntry describes one release.
type HistoryEntry struct {
	// revision is the value of the label pod-template-hash.
	// +required
	Revision string `json:"revision"`
	// images are the images of its containers.
	// +optional
	Images string `json:"images,omitempty"`
	// outcome is how the release ended.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`
	// message says why it ended that way.
	// +optional
	Message string `json:"message,omitempty"`
	// startedAt is when the release began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// endedAt is when the release ended; absent while it is in flight.
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`
	// startedBy is who started the release: the user who applied its template, or who retried it. Absent if that is not known.
	// +optional
	StartedBy string `json:"startedBy,omitempty"`
	// endedBy is who ended the release: the user who gave its last promote command, who aborted it, or who applied the template
	// that superseded or reverted it. Absent if that is not known, while the release is in flight, or if it ended by itself.
	// +optional
	EndedBy string `json:"endedBy,omitempty"`
}

// StepHistoryEntry describes how long one step took. Its active time is the rest of the time between start and end.
type StepHistoryEntry struct {
	// step is the number of the step, starting at 1.
	// +required
	Step int32 `json:"step"`
	// startedAt is when the step began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// endedAt is when the step ended; absent while it is the current one.
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`
	// waitingSeconds is for how long the step waited for a person, or for the clock of a pause. A pause in progress is counted when it
	// ends.
	// +optional
	WaitingSeconds int64 `json:"waitingSeconds,omitempty"`
}
