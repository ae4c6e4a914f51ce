// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase is what the controller is at. Together with the revisions and the weight in Memory it is the whole state of
// the state machine: the sub-steps of a promotion and of a return are read off where Services and weight stand.
//
// +kubebuilder:validation:Enum=Resting;Stepping;Promoting;Returning
type Phase string

const (
	// PhaseResting has nothing in flight.
	PhaseResting Phase = "Resting"
	// PhaseStepping walks the steps towards the current revision.
	PhaseStepping Phase = "Stepping"
	// PhasePromoting brings the current revision into the place of the stable one (T8).
	PhasePromoting Phase = "Promoting"
	// PhaseReturning brings all traffic back to the stable revision (T9).
	PhaseReturning Phase = "Returning"
)

// MemoryVersion is the version of Memory that this package describes. It is raised with a change that a manager must not
// ignore which does not know it.
const MemoryVersion int32 = 1

// Memory holds what cannot be observed again. Every target stands here before an object is touched for it, so that a
// restart at any point goes on where it was.
type Memory struct {
	// version is that of the memory's format; 0 was written before there were versions. A manager leaves a rollout alone
	// whose memory has a version that it does not know.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Version int32 `json:"version,omitempty"`

	// template is the template that was last recognised, so that an unchanged one costs no request.
	// +optional
	Template TemplateMemory `json:"template,omitzero"`

	// stableRevision is the revision that was last promoted; empty until the first deploy is done.
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// currentRevision is the revision in flight; at rest it is the stable one.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// abortedRevision is not tried again until a retry, or another template.
	// +optional
	AbortedRevision string `json:"abortedRevision,omitempty"`
	// abortReason is what the user, or the deadline, gave as reason.
	// +optional
	AbortReason string `json:"abortReason,omitempty"`

	// finishRevision is promoted to the end before spec.template is looked at again: the user said promote=full while
	// the stable revision could not serve.
	// +optional
	FinishRevision string `json:"finishRevision,omitempty"`

	// phase is what the controller is at.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// stepIndex is the index of the current step, counted from 0; at the number of steps all are done.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StepIndex int32 `json:"stepIndex"`
	// stepStartedAt is when the current step, or phase, began.
	// +optional
	StepStartedAt *metav1.MicroTime `json:"stepStartedAt,omitempty"`
	// stepHeldAt is since when the clock of a timed pause is stopped, because the canary does not serve what the steps
	// ask for; absent while the clock runs.
	// +optional
	StepHeldAt *metav1.MicroTime `json:"stepHeldAt,omitempty"`
	// stepHeldMilliseconds is how long the clock of the current pause was stopped before.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StepHeldMilliseconds int64 `json:"stepHeldMilliseconds,omitempty"`
	// stepsHash tells whether the steps were edited. It is taken over the canonical JSON of spec.steps as stored.
	// +optional
	StepsHash string `json:"stepsHash,omitempty"`

	// stepWeight is the share that the steps ask for by now; traffic.weight follows it as pods allow.
	// +optional
	StepWeight int32 `json:"stepWeight"`
	// stepHeaderRoutes are the header routes that the steps ask for by now.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	StepHeaderRoutes []SetHeaderRoute `json:"stepHeaderRoutes,omitempty"`
	// stepMirrorPercent is the part of the requests that the steps ask to be copied to the canary by now;
	// traffic.mirrorPercent follows it as pods allow.
	// +optional
	StepMirrorPercent int32 `json:"stepMirrorPercent,omitempty"`
	// stepRefused says in which words a gateway refused the mirror or the header routes that the steps ask for. They are
	// kept out of the routes until the steps are edited.
	// +optional
	StepRefused string `json:"stepRefused,omitempty"`
	// stepScale is the setCanaryScale in force.
	// +optional
	StepScale *SetCanaryScale `json:"stepScale,omitempty"`

	// traffic is what the routes are meant to carry, and since when they are proven to.
	// +optional
	Traffic TrafficMemory `json:"traffic,omitzero"`
	// stableService is what the stable Service is meant to select.
	// +optional
	StableService ServiceMemory `json:"stableService,omitzero"`
	// canaryService is what the canary Service is meant to select.
	// +optional
	CanaryService ServiceMemory `json:"canaryService,omitzero"`

	// routes are those that may carry what the controller writes, by name: one that leaves spec.traffic.routes stays here
	// until it was brought back to the stable Service.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Routes []ManagedRoute `json:"routes,omitempty"`
	// leavingServices are Services that spec.traffic does not name any more and whose selector still has the label
	// pod-template-hash. It is taken out as soon as that lets no other revision in.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	LeavingServices []string `json:"leavingServices,omitempty"`

	// draining are revisions on their way out, and since when none of their endpoints is in a Service (T3).
	// +optional
	// +listType=map
	// +listMapKey=revision
	Draining []DrainMemory `json:"draining,omitempty"`

	// progress is the last real progress, for the progress deadline.
	// +optional
	Progress ProgressMemory `json:"progress,omitzero"`

	// lettingGoSince is since when a deletion that waited in vain writes what can be written, and then lets go.
	// +optional
	LettingGoSince *metav1.MicroTime `json:"lettingGoSince,omitempty"`

	// command is a command that has been accepted and whose annotation may still be there.
	// +optional
	Command *CommandMemory `json:"command,omitempty"`
}

// TemplateMemory joins a raw pod template to its revision.
type TemplateMemory struct {
	// hash is taken over the canonical JSON of spec.template as stored.
	// +optional
	Hash string `json:"hash,omitempty"`
	// revision is the value of pod-template-hash for it.
	// +optional
	Revision string `json:"revision,omitempty"`
}

// DrainMemory is a revision on its way out.
type DrainMemory struct {
	// revision that drains.
	// +required
	Revision string `json:"revision"`
	// since is when its last endpoint had left both Services.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
}

// ProgressMemory is the last real progress.
type ProgressMemory struct {
	// at is when it was made.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// available is the number of available pods seen then.
	// +optional
	Available int32 `json:"available,omitempty"`
	// lostAt is when the revision in flight first lost all its endpoints; absent once it has kept its next ones for half
	// of the progress deadline. Until then nothing counts as progress.
	// +optional
	LostAt *metav1.MicroTime `json:"lostAt,omitempty"`
}

// Command is a verb that a user gave by annotation.
//
// +kubebuilder:validation:Enum=Promote;PromoteFull;Abort;Retry
type Command string

const (
	// CommandPromote leaves the current pause.
	CommandPromote Command = "Promote"
	// CommandPromoteFull skips the remaining steps.
	CommandPromoteFull Command = "PromoteFull"
	// CommandAbort sends all traffic back to the stable revision.
	CommandAbort Command = "Abort"
	// CommandRetry starts an aborted revision again.
	CommandRetry Command = "Retry"
)

// CommandMemory is an accepted command: it was meant for this revision and step and for no other.
type CommandMemory struct {
	// command that was given.
	// +required
	Command Command `json:"command"`
	// revision that was current.
	// +optional
	Revision string `json:"revision,omitempty"`
	// stepIndex that was current.
	// +optional
	StepIndex int32 `json:"stepIndex"`
	// annotations are the command annotations as they stood then, its own and those that it outranked. They are
	// removed; one that was set later is a command of its own.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MaxItems=3
	Annotations []CommandAnnotation `json:"annotations,omitempty"`
}

// CommandAnnotation is an annotation by which a user gave a command.
type CommandAnnotation struct {
	// key of the annotation.
	// +required
	Key string `json:"key"`
	// value of the annotation.
	// +optional
	Value string `json:"value"`
}
