// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Reconciling and Stalled are abnormal-true, as kstatus reads them.
const (
	// ConditionReady is True when the rollout is at rest: the template in spec is the stable revision, its pods
	// are available, and its traffic is verified.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the rollout works or waits, pauses included.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when the rollout cannot get on without help: aborted, past its progress deadline,
	// or held by something that has to be put right.
	ConditionStalled = "Stalled"
	// ConditionAvailable is True when the stable revision has its pods available.
	ConditionAvailable = "Available"
	// ConditionProgressing is True while a revision is on its way or has arrived, False past the deadline.
	ConditionProgressing = "Progressing"
	// ConditionPaused is True at a pause step and while spec.paused holds a rollout in flight.
	ConditionPaused = "Paused"
	// ConditionTrafficRouted is True when every route is proven to carry the desired weight.
	ConditionTrafficRouted = "TrafficRouted"
)

// Reasons of the conditions Ready, Reconciling, Stalled, Available, Progressing and Paused.
const (
	ReasonInitializing             = "Initializing"
	ReasonHealthy                  = "Healthy"
	ReasonProgressing              = "Progressing"
	ReasonPaused                   = "Paused"
	ReasonPauseStep                = "PauseStep"
	ReasonSpecPaused               = "SpecPaused"
	ReasonNotPaused                = "NotPaused"
	ReasonPromoting                = "Promoting"
	ReasonReturning                = "Returning"
	ReasonAborting                 = "Aborting"
	ReasonAborted                  = "Aborted"
	ReasonDeleting                 = "Deleting"
	ReasonComplete                 = "Complete"
	ReasonPodsAvailable            = "PodsAvailable"
	ReasonPodsUnavailable          = "PodsUnavailable"
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	ReasonStableUnavailable        = "StableUnavailable"
	ReasonInvalidTemplate          = "InvalidTemplate"
	ReasonReconcileError           = "ReconcileError"
	ReasonUnsupportedMemory        = "UnsupportedMemory"
	ReasonNotStalled               = "NotStalled"
)

// Reasons of the condition TrafficRouted. Those that a user has to put right also stand in Stalled.
const (
	ReasonVerified                = "Verified"
	ReasonVerifiedUnversioned     = "VerifiedWithoutObservedGeneration"
	ReasonTrafficChangePending    = "TrafficChangePending"
	ReasonWaitingForPods          = "WaitingForPods"
	ReasonRouteNotVerified        = "RouteNotVerified"
	ReasonRouteWithoutParent      = "RouteWithoutParent"
	ReasonRouteNotFound           = "RouteNotFound"
	ReasonRouteKindNotServed      = "RouteKindNotServed"
	ReasonPairNotFound            = "PairNotFound"
	ReasonPairAmbiguous           = "PairAmbiguous"
	ReasonPairCrossNamespace      = "PairCrossNamespace"
	ReasonWeightTooCoarse         = "WeightTooCoarse"
	ReasonRouteLimitExceeded      = "RouteLimitExceeded"
	ReasonHeaderRouteConflict     = "HeaderRouteConflict"
	ReasonInvalidExpression       = "InvalidExpression"
	ReasonHeaderRouteOnNamedRule  = "HeaderRouteOnNamedRule"
	ReasonHeaderRouteNotSupported = "HeaderRouteNotSupported"
	ReasonMirrorNotSupported      = "MirrorNotSupported"
	ReasonStepRefused             = "StepRefused"
	ReasonServiceNotFound         = "ServiceNotFound"
	ReasonServicePortNotServed    = "ServicePortNotServed"
	ReasonServiceShared           = "ServiceShared"
	ReasonServiceConflict         = "ServiceConflict"
	ReasonServiceWithoutSelector  = "ServiceWithoutSelector"
	ReasonServiceSelectorMismatch = "ServiceSelectorMismatch"
)
