// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase is the current phase of the state machine. With the revisions and the weight in Memory it is the whole state:
// how far a promotion or a rollback has come follows from the targets of Services and traffic.
//
// +kubebuilder:validation:Enum=Idle;Stepping;Promoting;RollingBack
type Phase string

const (
	// PhaseIdle has no release in flight.
	PhaseIdle Phase = "Idle"
	// PhaseStepping walks the steps of a release.
	PhaseStepping Phase = "Stepping"
	// PhasePromoting replaces the stable revision with the current one (T8).
	PhasePromoting Phase = "Promoting"
	// PhaseRollingBack returns all traffic to the stable revision (T9).
	PhaseRollingBack Phase = "RollingBack"
)

// MemoryVersion is the version of Memory that this package describes. It is raised with each change that an older manager
// must not ignore.
const MemoryVersion int32 = 1

// Memory holds what cannot be observed again. Every target is written here before an object is changed for it, so a
// restarted controller continues where it stopped.
type Memory struct {
	// version of the format; 0 was written before versions existed. A manager does not touch a rollout whose memory has a
	// version that it does not know.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Version int32 `json:"version,omitempty"`

	// template is the template that was last matched to a revision. While it is unchanged, that costs no request.
	// +optional
	Template TemplateMemory `json:"template,omitzero"`

	// stableRevision is the revision that was last promoted; empty until the first deploy is complete.
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// currentRevision is the revision in flight; in the phase Idle it is the stable revision.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// abortedRevision was aborted. It is not released again until a retry, or until the template changes.
	// +optional
	AbortedRevision string `json:"abortedRevision,omitempty"`
	// abortReason is why it was aborted: the words of the user, the deadline that passed, or the timeout of a pause.
	// +optional
	AbortReason string `json:"abortReason,omitempty"`

	// forcedRevision is promoted to the end before spec.template is read again: the user set promote=full while the
	// stable revision could not serve.
	// +optional
	ForcedRevision string `json:"forcedRevision,omitempty"`

	// phase is the current phase of the state machine.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// stepIndex is the index of the current step, starting at 0. It equals the number of steps when all are done.
	// +optional
	// +kubebuilder:validation:Minimum=0
	StepIndex int32 `json:"stepIndex"`
	// transitionedAt is when the current step began, or the current phase outside the steps.
	// +optional
	TransitionedAt *metav1.MicroTime `json:"transitionedAt,omitempty"`
	// pauseClockStoppedAt is when the clock of a timed pause or of an analysis step was stopped, because the canary does not
	// serve what the steps ask for; absent while the clock runs.
	// +optional
	PauseClockStoppedAt *metav1.MicroTime `json:"pauseClockStoppedAt,omitempty"`
	// pauseClockStoppedMilliseconds is how long the clock of the current pause has been stopped in total, without the time
	// since pauseClockStoppedAt.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PauseClockStoppedMilliseconds int64 `json:"pauseClockStoppedMilliseconds,omitempty"`
	// stepsHash is the hash of the canonical JSON of spec.steps as stored. It changes when the steps are edited.
	// +optional
	StepsHash string `json:"stepsHash,omitempty"`

	// stepTargets are what the steps so far ask for.
	// +optional
	StepTargets StepTargetsMemory `json:"stepTargets,omitzero"`
	// stepRefusal says what a gateway refused of the mirror and the header routes that the steps ask for, in which route and
	// why. Both stay out of the routes until the steps are edited.
	// +optional
	StepRefusal string `json:"stepRefusal,omitempty"`

	// traffic is the target of all routes, and whether it is verified.
	// +optional
	Traffic TrafficMemory `json:"traffic,omitzero"`
	// stableService is the target of the stable Service.
	// +optional
	StableService ServiceMemory `json:"stableService,omitzero"`
	// canaryService is the target of the canary Service.
	// +optional
	CanaryService ServiceMemory `json:"canaryService,omitzero"`

	// routes are the routes that the controller may write. One that is removed from spec.traffic.routes stays here until all
	// of its traffic is back at the stable Service.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Routes []ManagedRoute `json:"routes,omitempty"`
	// leavingServices are Services that spec.traffic no longer names and whose selector still has the label
	// pod-template-hash. The label is removed as soon as no other revision would be selected without it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	LeavingServices []string `json:"leavingServices,omitempty"`

	// draining are the revisions to be scaled down, and since when none of their endpoints is in a Service (T3).
	// +optional
	// +listType=map
	// +listMapKey=revision
	Draining []DrainMemory `json:"draining,omitempty"`

	// analysis is what has been measured of the release in flight.
	// +optional
	Analysis AnalysisMemory `json:"analysis,omitzero"`
	// bake is the bake in progress.
	// +optional
	Bake BakeMemory `json:"bake,omitzero"`

	// progress is the last progress, from which the progress deadline counts.
	// +optional
	Progress ProgressMemory `json:"progress,omitzero"`

	// forcedReleaseSince is when a deletion gave up waiting for traffic to be handed back. From then on it writes what it can,
	// and then removes the finalizer.
	// +optional
	ForcedReleaseSince *metav1.MicroTime `json:"forcedReleaseSince,omitempty"`

	// command is a command that was accepted and whose annotation may still be set.
	// +optional
	Command *CommandMemory `json:"command,omitempty"`
	// promotedBy is the user who gave the last promote command of the release in flight.
	// +optional
	PromotedBy string `json:"promotedBy,omitempty"`

	// notifications are the transitions to be notified. It is absent in a rollout that never had a sink.
	// +optional
	Notifications *NotificationsMemory `json:"notifications,omitempty"`
}

// StepTargetsMemory is what the steps so far ask for. memory.traffic follows them when enough pods are available.
type StepTargetsMemory struct {
	// weight is the canary's share of requests in percent.
	// +optional
	Weight int32 `json:"weight,omitempty"`
	// mirrorPercent is the share of requests in percent that are copied to the canary.
	// +optional
	MirrorPercent int32 `json:"mirrorPercent,omitempty"`
	// headerRoutes are the header routes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	HeaderRoutes []SetHeaderRoute `json:"headerRoutes,omitempty"`
	// scale is the setCanaryScale in force.
	// +optional
	Scale *SetCanaryScale `json:"scale,omitempty"`
}

// TemplateMemory is a pod template and its revision.
type TemplateMemory struct {
	// hash is the hash of the canonical JSON of spec.template as stored.
	// +optional
	Hash string `json:"hash,omitempty"`
	// revision is its value of the label pod-template-hash.
	// +optional
	Revision string `json:"revision,omitempty"`
}

// DrainMemory is a revision to be scaled down.
type DrainMemory struct {
	// revision that is draining.
	// +required
	Revision string `json:"revision"`
	// since is when its last endpoint left both Services; absent while one has any.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
}

// ProgressMemory is the last progress of a rollout.
type ProgressMemory struct {
	// at is when progress was last made.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// available is the number of available pods at that time.
	// +optional
	Available int32 `json:"available,omitempty"`
	// endpointsLostAt is when the revision in flight first lost all its endpoints. It is cleared when the revision has kept
	// new ones for half of the progress deadline. Until then nothing counts as progress.
	// +optional
	EndpointsLostAt *metav1.MicroTime `json:"endpointsLostAt,omitempty"`
}

// Command is a command that a user gave by annotation.
//
// +kubebuilder:validation:Enum=Promote;PromoteFull;Abort;Retry
type Command string

const (
	// CommandPromote leaves the current pause.
	CommandPromote Command = "Promote"
	// CommandPromoteFull skips the remaining steps.
	CommandPromoteFull Command = "PromoteFull"
	// CommandAbort returns all traffic to the stable revision.
	CommandAbort Command = "Abort"
	// CommandRetry starts an aborted revision again.
	CommandRetry Command = "Retry"
)

// CommandMemory is an accepted command. It applies to this revision and step only.
type CommandMemory struct {
	// command that was accepted.
	// +required
	Command Command `json:"command"`
	// revision that was current when the command was accepted.
	// +optional
	Revision string `json:"revision,omitempty"`
	// stepIndex that was current when the command was accepted.
	// +optional
	StepIndex int32 `json:"stepIndex"`
	// user is who gave the command, if that is known.
	// +optional
	User string `json:"user,omitempty"`
	// annotations are the command annotations at that time: its own and those of lower rank. They are removed. An
	// annotation that is set later is another command.
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
