// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// clampTimes sets the times in memory that lie in the future to now. A clock that was ahead wrote them, on this node or on
// that of a former leader. Every wait that starts at such a time would otherwise be longer by the difference.
func clampTimes(mem *v1alpha1.Memory, now time.Time) {
	clamp := func(moment *metav1.MicroTime) {
		if moment != nil && moment.After(now) {
			moment.Time = now
		}
	}
	clamp(mem.TransitionedAt)
	clamp(mem.PauseClockStoppedAt)
	if mem.TransitionedAt != nil { // the clock of a pause cannot have been stopped for longer than the pause has lasted
		mem.PauseClockStoppedMilliseconds = min(mem.PauseClockStoppedMilliseconds, now.Sub(mem.TransitionedAt.Time).Milliseconds())
	}
	clamp(mem.ForcedReleaseSince)
	clamp(mem.Traffic.VerifiedAt)
	clamp(mem.Traffic.UnverifiedSince)
	for i := range mem.Traffic.Routes {
		clamp(mem.Traffic.Routes[i].CarriedAt)
	}
	clamp(mem.StableService.ReadyAt)
	clamp(mem.CanaryService.ReadyAt)
	for i := range mem.Draining {
		clamp(mem.Draining[i].Since)
	}
	for _, metrics := range [][]v1alpha1.MetricMemory{mem.Analysis.Background, mem.Analysis.Step, mem.Analysis.Bake} {
		for i := range metrics {
			clamp(metrics[i].CountedUntil)
			clamp(metrics[i].MeasuredAt)
			clamp(metrics[i].StartedAt)
		}
	}
	clamp(mem.Bake.Since)
	if mem.Notifications != nil {
		for i := range mem.Notifications.Pending {
			clamp(mem.Notifications.Pending[i].At)
		}
	}
	clamp(mem.Progress.At)
	clamp(mem.Progress.EndpointsLostAt)
}
