// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// The reasons of the Events that a rollout's transitions emit. They are stable: alerts may rely on them.
const (
	EventStarted            = "RolloutStarted"
	EventAdopted            = "RevisionAdopted"
	EventStepCompleted      = "StepCompleted"
	EventStepsChanged       = "StepsChanged"
	EventPaused             = "RolloutPaused"
	EventResumed            = "RolloutResumed"
	EventPromoting          = "RolloutPromoting"
	EventServiceMoved       = "ServiceMoved"
	EventBaking             = "RolloutBaking"
	EventPromoted           = "RolloutPromoted"
	EventAborting           = "RolloutAborting"
	EventAborted            = "RolloutAborted"
	EventRetried            = "RolloutRetried"
	EventSuperseded         = "RevisionSuperseded"
	EventReverted           = "RevisionReverted"
	EventRolledBack         = "TrafficRolledBack"
	EventCanaryUnavailable  = "CanaryUnavailable"
	EventCommandIgnored     = "CommandIgnored"
	EventRecovered          = "RolloutRecovered"
	EventTerminated         = "RolloutTerminated"
	EventRouteOverwritten   = "RouteOverwritten"
	EventServiceOverwritten = "ServiceOverwritten"
	EventSecondManager      = "SecondManager"
	// EventNotificationsDropped is about notifications that a sink did not accept in time.
	EventNotificationsDropped = "NotificationsDropped"
)
