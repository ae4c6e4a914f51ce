// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NotificationsMemory is what is still to be delivered to the sinks of notifications.
type NotificationsMemory struct {
	// sequence is the number of the last transition that was recorded. It only grows, so each transition has its own.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sequence int64 `json:"sequence,omitempty"`
	// waits is the last transition that was recorded, if it lasts: Paused, Held, Inconclusive or Degraded. It is not recorded again
	// while it lasts.
	// +optional
	Waits Transition `json:"waits,omitempty"`
	// dropped is how many transitions were dropped because too many waited for a sink that did not accept them.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Dropped int64 `json:"dropped,omitempty"`
	// pending are the transitions that a sink has not accepted yet, oldest first.
	// +optional
	// +listType=map
	// +listMapKey=sequence
	// +kubebuilder:validation:MaxItems=32
	Pending []TransitionMemory `json:"pending,omitempty"`
	// sinks are those that have accepted some of pending.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=10
	Sinks []SinkMemory `json:"sinks,omitempty"`
}

// SinkMemory is how far a sink has come.
type SinkMemory struct {
	// name of the sink.
	// +required
	Name string `json:"name"`
	// delivered is the sequence number of the last transition that the sink has accepted.
	// +required
	// +kubebuilder:validation:Minimum=1
	Delivered int64 `json:"delivered"`
}

// TransitionMemory is a transition as it was when it happened.
type TransitionMemory struct {
	// sequence is its number.
	// +required
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence"`
	// type of the transition.
	// +required
	Type Transition `json:"type"`
	// at is when it happened.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// generation is that of the spec.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// revision that the transition is about.
	// +optional
	Revision string `json:"revision,omitempty"`
	// stableRevision at that time.
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// images of the revision.
	// +optional
	Images string `json:"images,omitempty"`
	// step is the number of the current step and the number of steps.
	// +optional
	Step string `json:"step,omitempty"`
	// weight is the verified and the desired share of the revision.
	// +optional
	Weight *RevisionWeight `json:"weight,omitempty"`
	// by is who caused the transition, if that is known.
	// +optional
	By string `json:"by,omitempty"`
	// message says what happened, and why.
	// +optional
	Message string `json:"message,omitempty"`
}
