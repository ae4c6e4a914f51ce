// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CanaryRolloutStatus has two zones. Everything but memory and history is a report: made afresh in every pass,
// never an input of a decision. Memory is what cannot be observed again.
type CanaryRolloutStatus struct {
	// conditions are Ready, Reconciling, Stalled, Available, Progressing, Paused and TrafficRouted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// manager is the one that wrote this status last: namespace and name of its lease. Managers with different leases must not
	// work on the same rollouts; one that meets another one's writes emits the Event SecondManager.
	// +optional
	Manager string `json:"manager,omitempty"`

	// state sums the rollout up in one word.
	// +optional
	State State `json:"state,omitempty"`

	// message says what the rollout waits for, until when, and the command that would move it.
	// +optional
	Message string `json:"message,omitempty"`

	// step is the number of the current step and how many there are, as in 3/12.
	// +optional
	Step string `json:"step,omitempty"`

	// weight is the verified share in percent of the revision shown, and the desired one when they differ, as in 10->20;
	// at rest it is 100.
	// +optional
	Weight string `json:"weight,omitempty"`

	// revision is the revision in flight, or the stable one at rest.
	// +optional
	Revision string `json:"revision,omitempty"`

	// ready is the number of ready pods of all revisions that should serve, and how many there should be, as in 4/4.
	// +optional
	Ready string `json:"ready,omitempty"`

	// images are the images of the stable revision, and of the canary beside them.
	// +optional
	Images string `json:"images,omitempty"`

	// replicas is the number of pods of the stable revision, the ones that spec.replicas counts. The scale subresource
	// reports it. An autoscaler with an AverageValue target of an Object or External metric keeps this number while the
	// average is within its tolerance, so the canary's pods must not be in it.
	// +optional
	Replicas int32 `json:"replicas"`

	// selector selects the pods of every revision. The scale subresource reports it. An autoscaler multiplies the average
	// usage of these pods by their number: that is the whole load, however the weight divides it between the revisions.
	// Without the canary's pods the stable ones would look idle as the weight rises.
	// +optional
	Selector string `json:"selector,omitempty"`

	// stable describes the stable revision.
	// +optional
	Stable *RevisionStatus `json:"stable,omitempty"`

	// canary describes the revision in flight.
	// +optional
	Canary *RevisionStatus `json:"canary,omitempty"`

	// traffic is the desired and the verified share of the canary.
	// +optional
	Traffic *TrafficStatus `json:"traffic,omitempty"`

	// pause describes the pause that the rollout is in.
	// +optional
	Pause *PauseStatus `json:"pause,omitempty"`

	// history has the last ten releases, the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []HistoryEntry `json:"history,omitempty"`

	// memory is what the controller cannot observe again. It is not for users, and must not be edited.
	// +optional
	Memory *Memory `json:"memory,omitempty"`
}

// State sums a rollout up in one word.
//
// +kubebuilder:validation:Enum=Initializing;Healthy;Progressing;Paused;Promoting;Aborting;Aborted;Degraded;Terminating
type State string

const (
	// StateInitializing says that no revision has become stable yet.
	StateInitializing State = "Initializing"
	// StateHealthy says that the template in spec is stable, available, and gets all the traffic, verified.
	StateHealthy State = "Healthy"
	// StateProgressing says that the rollout works or waits for something that is on its way.
	StateProgressing State = "Progressing"
	// StatePaused says that a pause step or spec.paused holds the release.
	StatePaused State = "Paused"
	// StatePromoting says that the steps are done and the new revision takes the place of the stable one.
	StatePromoting State = "Promoting"
	// StateAborting says that traffic is on its way back to the stable revision.
	StateAborting State = "Aborting"
	// StateAborted says that the template in spec was aborted; the stable revision serves.
	StateAborted State = "Aborted"
	// StateDegraded says that the rollout needs help: message and the condition Stalled say which.
	StateDegraded State = "Degraded"
	// StateTerminating says that the rollout is being deleted and hands its traffic back.
	StateTerminating State = "Terminating"
)

// RevisionStatus describes the pods of a revision.
type RevisionStatus struct {
	// revision is the value of the label pod-template-hash.
	// +required
	Revision string `json:"revision"`
	// desired is how many pods it should have.
	// +optional
	Desired int32 `json:"desired"`
	// replicas is how many pods it has.
	// +optional
	Replicas int32 `json:"replicas"`
	// ready is how many of them are ready.
	// +optional
	Ready int32 `json:"ready"`
	// available is how many of them have been ready for minReadySeconds.
	// +optional
	Available int32 `json:"available"`
}

// TrafficStatus tells what is wanted from what is proven.
type TrafficStatus struct {
	// desiredWeight is the share of the canary in percent that the routes are meant to carry now.
	// +optional
	DesiredWeight int32 `json:"desiredWeight"`
	// verifiedWeight is the last share that every route was proven to carry.
	// +optional
	VerifiedWeight int32 `json:"verifiedWeight"`
	// headerRoutes are the names of the header routes in force.
	// +optional
	// +listType=atomic
	HeaderRoutes []string `json:"headerRoutes,omitempty"`
	// mirrorPercent is the part of the requests that are meant to be copied to the canary now.
	// +optional
	MirrorPercent int32 `json:"mirrorPercent,omitempty"`
	// routes tell the same of each route.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Routes []RouteStatus `json:"routes,omitempty"`
}

// RouteStatus tells what is wanted of a route from what is proven of it.
type RouteStatus struct {
	// kind of the route.
	// +required
	Kind string `json:"kind"`
	// name of the route.
	// +required
	Name string `json:"name"`
	// desiredWeight is the share of the canary in percent that the route is meant to carry now.
	// +optional
	DesiredWeight int32 `json:"desiredWeight"`
	// verifiedWeight is the last share that the route was proven to carry; absent while none was.
	// +optional
	VerifiedWeight *int32 `json:"verifiedWeight,omitempty"`
	// pending says, parent by parent, what is missing until the desired weight is verified.
	// +optional
	Pending string `json:"pending,omitempty"`
}

// PauseStatus describes a pause.
type PauseStatus struct {
	// reason is PauseStep or SpecPaused.
	// +optional
	Reason string `json:"reason,omitempty"`
	// startedAt is when the pause began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// until is when a timed pause ends, or when a timeout is carried out.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// Outcome is how a release ended.
//
// +kubebuilder:validation:Enum=InProgress;Promoted;Aborted;Superseded;Reverted
type Outcome string

const (
	// OutcomeInProgress is a release that has not ended.
	OutcomeInProgress Outcome = "InProgress"
	// OutcomePromoted is a release whose revision became stable.
	OutcomePromoted Outcome = "Promoted"
	// OutcomeAborted is a release that was aborted.
	OutcomeAborted Outcome = "Aborted"
	// OutcomeSuperseded is a release that gave way to a newer template.
	OutcomeSuperseded Outcome = "Superseded"
	// OutcomeReverted is a release that ended because the stable template was applied again.
	OutcomeReverted Outcome = "Reverted"
)

// HistoryEntry is one release.
type HistoryEntry struct {
	// revision is the value of the label pod-template-hash.
	// +required
	Revision string `json:"revision"`
	// images are the images of its containers.
	// +optional
	Images string `json:"images,omitempty"`
	// outcome is how it ended.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`
	// message says why it ended that way.
	// +optional
	Message string `json:"message,omitempty"`
	// startedAt is when it began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// endedAt is when it ended.
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`
}
