// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// MayWait reports whether nobody waits for a status to be written: it differs from the prior one only in texts and counts. What
// decisions are made from is the same, and so is what people and tools wait for: the state, the generation, a pause, the status and
// the reason of each condition.
func MayWait(prior, next v1alpha1.CanaryRolloutStatus) bool {
	return equality.Semantic.DeepEqual(awaited(prior), awaited(next))
}

// awaited returns a status without its texts and counts, and without which sinks have accepted a transition: one that was accepted and
// is sent again does no harm. The evidence of metrics is in memory.
func awaited(status v1alpha1.CanaryRolloutStatus) v1alpha1.CanaryRolloutStatus {
	status.Message, status.Ready, status.Replicas, status.Stable, status.Canary, status.Analysis = "", "", 0, nil, nil, nil
	if status.Traffic != nil {
		traffic := *status.Traffic
		traffic.Routes = slices.Clone(traffic.Routes)
		for i := range traffic.Routes {
			traffic.Routes[i].Pending = ""
		}
		status.Traffic = &traffic
	}
	if status.Memory != nil && status.Memory.Notifications != nil {
		memory, known := *status.Memory, status.Memory.Notifications
		memory.Notifications = &v1alpha1.NotificationsMemory{Sequence: known.Sequence, Waits: known.Waits}
		status.Memory = &memory
	}
	status.Conditions = slices.Clone(status.Conditions)
	for i := range status.Conditions {
		status.Conditions[i].Message = ""
	}
	return status
}
