// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Transition is a transition of a rollout that is notified.
//
// +kubebuilder:validation:Enum=Started;StepCompleted;Paused;Held;Inconclusive;Resumed;Promoting;Baking;Promoted;Aborting;Aborted;Retried;Superseded;Reverted;RolledBack;Degraded;Recovered
type Transition string

const (
	// TransitionStarted says that a release has begun, also the first one.
	TransitionStarted Transition = "Started"
	// TransitionStepCompleted says that a step has ended that lasted, or comes before one that lasts.
	TransitionStepCompleted Transition = "StepCompleted"
	// TransitionPaused says that the release waits for a person at a pause step that has no duration.
	TransitionPaused Transition = "Paused"
	// TransitionHeld says that spec.paused holds the release.
	TransitionHeld Transition = "Held"
	// TransitionInconclusive says that an analysis has ended without a verdict and waits for a person.
	TransitionInconclusive Transition = "Inconclusive"
	// TransitionResumed says that a person has ended a pause, an analysis step or a bake.
	TransitionResumed Transition = "Resumed"
	// TransitionPromoting says that the steps are done, or skipped, and the new revision replaces the stable one.
	TransitionPromoting Transition = "Promoting"
	// TransitionBaking says that the new revision serves all traffic and the former one is kept for the bake.
	TransitionBaking Transition = "Baking"
	// TransitionPromoted says that the new revision is stable.
	TransitionPromoted Transition = "Promoted"
	// TransitionAborting says that the release was aborted: all traffic returns to the stable revision.
	TransitionAborting Transition = "Aborting"
	// TransitionAborted says that the stable revision serves all traffic after an abort.
	TransitionAborted Transition = "Aborted"
	// TransitionRetried says that an aborted revision is released again.
	TransitionRetried Transition = "Retried"
	// TransitionSuperseded says that another template replaces the revision in flight.
	TransitionSuperseded Transition = "Superseded"
	// TransitionReverted says that the stable template was applied again in the middle of a release.
	TransitionReverted Transition = "Reverted"
	// TransitionRolledBack says that the stable revision serves all traffic after a revision was superseded or reverted.
	TransitionRolledBack Transition = "RolledBack"
	// TransitionDegraded says that the rollout needs help.
	TransitionDegraded Transition = "Degraded"
	// TransitionRecovered says that it no longer does.
	TransitionRecovered Transition = "Recovered"
)

// Notification sends transitions of the rollout to a sink.
type Notification struct {
	// sink is the name of a sink that the administrator of the operator has named in the file of the flag --notification-sinks.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a sink: lower case letters, digits and dashes"
	Sink string `json:"sink,omitempty"`

	// transitions are those to send. Empty means all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=17
	Transitions []Transition `json:"transitions,omitempty"`
}
