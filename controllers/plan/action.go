// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Action is one write to the cluster. Actions are carried out in order, and some of them may fail. Any part of a plan is
// safe, because no action relies on the effect of an earlier one, except RemoveFinalizer, which comes last.
//
//sumtype:decl
type Action interface {
	// Because returns the reason for the action, for the log and the transcript.
	Because() string
	isAction()
}

// Reason is embedded in every action.
type Reason string

// Because implements that part of Action.
func (r Reason) Because() string { return string(r) }

type (
	// AddFinalizer adds our finalizer to the rollout.
	AddFinalizer struct{ Reason }

	// RemoveFinalizer removes our finalizer, so that the rollout is deleted.
	RemoveFinalizer struct{ Reason }

	// RemoveAnnotations removes command annotations from the rollout, all in one patch. Event reports those that are ignored.
	RemoveAnnotations struct {
		Reason
		Keys  []string
		Event Event
	}

	// SetReplicas sets spec.replicas while the user does not: the scale subresource cannot be read without it.
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

	// MarkReplicaSet writes the marks of a ReplicaSet to its annotations.
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

	// PointService sets pod-template-hash in the selector of a Service, or removes it when Revision is empty. Event reports
	// that another writer's selector is overwritten.
	PointService struct {
		Reason
		Name, Revision string
		Event          Event
	}

	// SetTraffic makes a route send exactly this traffic to the canary.
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

// EventOf returns the Event of an action; the zero Event if it has none. It is emitted as soon as the action has been carried
// out. Once it has, no later pass sees what the Event is about, so it must not be lost if the rest of the pass fails.
func EventOf(action Action) Event {
	switch act := action.(type) {
	case RemoveAnnotations:
		return act.Event
	case PointService:
		return act.Event
	default:
		return Event{}
	}
}

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

// IsRemembered reports whether the status of a plan is written although these of its actions were not carried out. There
// must be at least one: with none, the pass ended before its first action. A command is carried out at most once, so its
// annotation has to be removed first. Orphans are listed only while there is no memory.
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
