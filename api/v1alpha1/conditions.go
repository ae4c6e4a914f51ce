// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Reconciling and Stalled are abnormal-true, as kstatus reads them.
const (
	// ConditionReady is True when nothing is left to do: the template in spec is the stable revision, its pods are
	// available, and its traffic is verified.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the rollout makes or awaits a change, pauses included.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when the rollout cannot continue without help: it was aborted, its progress deadline has
	// passed, or something must be fixed.
	ConditionStalled = "Stalled"
	// ConditionAvailable is True when all pods of the stable revision are available.
	ConditionAvailable = "Available"
	// ConditionProgressing is True while a release makes progress and after it is complete, and False while it is stalled.
	ConditionProgressing = "Progressing"
	// ConditionPaused is True at a pause step, and while spec.paused stops a release.
	ConditionPaused = "Paused"
	// ConditionTrafficRouted is True when every route is verified to carry the desired weight.
	ConditionTrafficRouted = "TrafficRouted"
	// ConditionMeasured is True when every metric of the release in flight can be measured. It is absent without an analysis.
	ConditionMeasured = "Measured"
	// ConditionNotified is True when every sink of spec.notifications exists. It is absent without spec.notifications.
	ConditionNotified = "Notified"
)

// Reasons of the conditions Ready, Reconciling, Stalled, Available, Progressing and Paused.
const (
	ReasonInitializing             = "Initializing"
	ReasonHealthy                  = "Healthy"
	ReasonProgressing              = "Progressing"
	ReasonPauseStep                = "PauseStep"
	ReasonSpecPaused               = "SpecPaused"
	ReasonNotPaused                = "NotPaused"
	ReasonPromoting                = "Promoting"
	ReasonRollingBack              = "RollingBack"
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
	ReasonUnsupportedMemoryVersion = "UnsupportedMemoryVersion"
	ReasonNotStalled               = "NotStalled"
)

// Reasons of the condition TrafficRouted. Those that a user must fix are also reasons of Stalled.
const (
	ReasonVerified                  = "Verified"
	ReasonVerifiedUnversioned       = "VerifiedWithoutObservedGeneration"
	ReasonTrafficChangePending      = "TrafficChangePending"
	ReasonWaitingForPods            = "WaitingForPods"
	ReasonRouteNotVerified          = "RouteNotVerified"
	ReasonRouteWithoutParent        = "RouteWithoutParent"
	ReasonRouteNotFound             = "RouteNotFound"
	ReasonRouteKindNotServed        = "RouteKindNotServed"
	ReasonBackendPairNotFound       = "BackendPairNotFound"
	ReasonBackendPairAmbiguous      = "BackendPairAmbiguous"
	ReasonBackendPairCrossNamespace = "BackendPairCrossNamespace"
	ReasonWeightNotRepresentable    = "WeightNotRepresentable"
	ReasonRouteLimitExceeded        = "RouteLimitExceeded"
	ReasonHeaderRouteConflict       = "HeaderRouteConflict"
	ReasonInvalidRegularExpression  = "InvalidRegularExpression"
	ReasonHeaderRouteOnNamedRule    = "HeaderRouteOnNamedRule"
	ReasonHeaderRouteNotSupported   = "HeaderRouteNotSupported"
	ReasonMirrorNotSupported        = "MirrorNotSupported"
	ReasonStepRefused               = "StepRefused"
	ReasonUnsupportedStep           = "UnsupportedStep"
	ReasonServiceNotFound           = "ServiceNotFound"
	ReasonServicePortNotServed      = "ServicePortNotServed"
	ReasonServiceShared             = "ServiceShared"
	ReasonServiceConflict           = "ServiceConflict"
	ReasonServiceWithoutSelector    = "ServiceWithoutSelector"
	ReasonServiceSelectorMismatch   = "ServiceSelectorMismatch"
)

// Reasons of the condition Measured. Those that a user must fix are also reasons of Stalled.
const (
	ReasonMeasuring           = "Measuring"
	ReasonNotMeasuring        = "NotMeasuring"
	ReasonNoData              = "NoData"
	ReasonProviderNotFound    = "ProviderNotFound"
	ReasonProviderUnreachable = "ProviderUnreachable"
	ReasonQueryRejected       = "QueryRejected"
	ReasonMetricNotFound      = "MetricNotFound"
	ReasonInvalidMetric       = "InvalidMetric"
	ReasonJobsNotAllowed      = "JobsNotAllowed"
	ReasonJobNotStarted       = "JobNotStarted"
	ReasonInconclusive        = "Inconclusive"
)

// Reasons of the condition Notified. It never holds a release.
const (
	ReasonSinksFound   = "SinksFound"
	ReasonSinkNotFound = "SinkNotFound"
)
