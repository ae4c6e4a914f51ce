// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "time"

// Defaults of optional fields of a spec, for code that reads a spec before the API server has set them. They are the same
// as the +default markers of the fields.
const (
	// DefaultReplicas is the number of pods of a first deploy when replicas is not set. It is not a +default: a size that is
	// not set is the current size.
	DefaultReplicas int32 = 1
	// DefaultRevisionHistoryLimit is the default of revisionHistoryLimit.
	DefaultRevisionHistoryLimit int32 = 10
	// MaxRevisionHistoryLimit is the maximum of revisionHistoryLimit.
	MaxRevisionHistoryLimit int32 = 100
	// DefaultProgressDeadlineSeconds is the default of progressDeadlineSeconds.
	DefaultProgressDeadlineSeconds int32 = 600
	// DefaultScaleDownDelaySeconds is the default of scaleDownDelaySeconds.
	DefaultScaleDownDelaySeconds int32 = 30
	// DefaultSettleSeconds is the default of traffic.settleSeconds.
	DefaultSettleSeconds int32 = 5
	// DefaultVerifyTimeoutSeconds is the default of traffic.verifyTimeoutSeconds.
	DefaultVerifyTimeoutSeconds int32 = 60
	// DefaultProvider is the default of the provider of a comparison and of a threshold.
	DefaultProvider = "default"
	// DefaultRelativeTolerance is the default of tolerance.relative, in percent.
	DefaultRelativeTolerance int32 = 25
	// DefaultAbsoluteTolerance is the default of tolerance.absolute, in percent.
	DefaultAbsoluteTolerance = "0.5"
	// DefaultFalseAlarm is the default of falseAlarm, in percent.
	DefaultFalseAlarm = "1"
	// DefaultClusterSize is the default of clusterSize.
	DefaultClusterSize int32 = 1
	// DefaultComparisonInterval is the default of the interval of a comparison.
	DefaultComparisonInterval = 10 * time.Second
	// DefaultMetricInterval is the default of the interval of other metrics.
	DefaultMetricInterval = 30 * time.Second
	// DefaultMetricWindow is the default of the window of a threshold.
	DefaultMetricWindow = time.Minute
	// DefaultMetricCount is the default of count.
	DefaultMetricCount int32 = 3
	// DefaultConsecutiveErrorLimit is the default of consecutiveErrorLimit.
	DefaultConsecutiveErrorLimit int32 = 10
)
