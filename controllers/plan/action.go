// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Action is one write to the cluster. Actions are carried out in order, and some of them may fail: any part of a plan is
// safe, because nothing in it relies on the effect of what comes before but RemoveFinalizer, which comes last.
//
//sumtype:decl
type Action interface {
	// Because says in words why this is done, for the log and the transcript.
	Because() string
	isAction()
}

// Reason is embedded in every action.
type Reason string

// Because implements that part of Action.
func (r Reason) Because() string { return string(r) }

type (
	// AddFinalizer puts our finalizer on the rollout.
	AddFinalizer struct{ Reason }

	// RemoveFinalizer lets the rollout go.
	RemoveFinalizer struct{ Reason }

	// RemoveAnnotations takes command annotations off the rollout, all in one patch.
	RemoveAnnotations struct {
		Reason
		Keys []string
	}

	// SetReplicas gives spec.replicas a value while the user gives none: the scale subresource cannot be read without.
	SetReplicas struct {
		Reason
		Replicas int32
	}

	// AdoptReplicaSet makes a running orphan ours: owner reference and rollout label, nothing else.
	AdoptReplicaSet struct {
		Reason
		Name string
	}

	// CreateReplicaSet creates the ReplicaSet of the template in spec.
	CreateReplicaSet struct {
		Reason
		Revision, TemplateHash string
		Replicas               int32
	}

	// ScaleReplicaSet sets size and minReadySeconds.
	ScaleReplicaSet struct {
		Reason
		Name                      string
		Replicas, MinReadySeconds int32
	}

	// MarkReplicaSet writes the marks of a ReplicaSet into its annotations.
	MarkReplicaSet struct {
		Reason
		Name  string
		Marks Marks
	}

	// DeleteReplicaSet deletes a ReplicaSet that has no pods.
	DeleteReplicaSet struct {
		Reason
		Name string
	}

	// PointService sets pod-template-hash in a Service's selector, or takes it out when Revision is empty.
	PointService struct {
		Reason
		Name, Revision string
	}

	// SetTraffic makes a route carry this traffic to the canary, and nothing else.
	SetTraffic struct {
		Reason
		Kind, Name string
		Traffic
	}
)

func (AddFinalizer) isAction()      {}
func (RemoveFinalizer) isAction()   {}
func (RemoveAnnotations) isAction() {}
func (SetReplicas) isAction()       {}
func (AdoptReplicaSet) isAction()   {}
func (CreateReplicaSet) isAction()  {}
func (ScaleReplicaSet) isAction()   {}
func (MarkReplicaSet) isAction()    {}
func (DeleteReplicaSet) isAction()  {}
func (PointService) isAction()      {}
func (SetTraffic) isAction()        {}

// NeedsLiveRead reports whether the rollout must be read from the API server before these actions: ReplicaSets must be
// neither created nor adopted once deletion has begun.
func NeedsLiveRead(actions []Action) bool {
	return slices.ContainsFunc(actions, func(action Action) bool {
		switch action.(type) {
		case CreateReplicaSet, AdoptReplicaSet:
			return true
		default:
			return false
		}
	})
}

// IsRemembered says whether the status of a plan is written although these of its actions were not carried out. There
// must be one: with none, the pass ended before its first action. A command is carried out no more than once, so its
// annotation has to be removed first; and orphans are looked for only while there is no memory.
func IsRemembered(undone []Action) bool {
	return len(undone) > 0 && !slices.ContainsFunc(undone, func(action Action) bool {
		switch action.(type) {
		case AddFinalizer, RemoveFinalizer, RemoveAnnotations, AdoptReplicaSet:
			return true
		default:
			return false
		}
	})
}
