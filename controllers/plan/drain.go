// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// watchDraining records for every draining revision since when no requests can reach it (T3). A revision that returns as the
// canary keeps its time.
func (t *transition) watchDraining() {
	prior := t.mem.Draining
	t.mem.Draining = nil
	for _, rs := range t.in.Observed.ReplicaSets {
		isWarm, cold := t.before.isWarm(rs.Revision)
		switch {
		case rs.Desired == 0, rs.Revision == t.mem.StableRevision:
		case rs.Revision != t.mem.CurrentRevision && t.strategy.isReachable(t.view, rs.Revision):
			t.mem.Draining = append(t.mem.Draining, v1alpha1.DrainMemory{Revision: rs.Revision})
		case rs.Revision != t.mem.CurrentRevision, isWarm:
			drain := v1alpha1.DrainMemory{Revision: rs.Revision, Since: t.now()}
			if known := drainOf(prior, rs.Revision); known != nil && known.Since != nil {
				drain.Since = known.Since
			}
			t.await(cold)
			t.await(t.until(t.drained(drain)))
			t.mem.Draining = append(t.mem.Draining, drain)
		}
	}
}

func drainOf(draining []v1alpha1.DrainMemory, revision string) *v1alpha1.DrainMemory {
	for i := range draining {
		if draining[i].Revision == revision {
			return &draining[i]
		}
	}
	return nil
}

// isWarm reports whether a revision returned as the canary before the pods that it was to lose were deleted, and returns when
// they may be. They may still be handling earlier requests.
func (v view) isWarm(revision string) (isWarm bool, cold gate) {
	drain := drainOf(v.mem.Draining, revision)
	if drain == nil || v.mem.Phase != v1alpha1.PhaseStepping {
		return false, gate{}
	}
	if drain.Since == nil {
		return true, gate{}
	}
	cold = v.until(v.drained(*drain))
	return cold.shut, cold
}

// drained returns when the pods of a revision that no requests reach may be deleted.
func (v view) drained(drain v1alpha1.DrainMemory) time.Time { return v.spec.drained(drain) }

func (s settings) drained(drain v1alpha1.DrainMemory) time.Time {
	return drain.Since.Add(s.settle + s.scaleDownDelay)
}

// ScaledDownAt returns when the pods of a draining revision are deleted (T3); zero if requests may still reach it, or if it
// does not drain.
func ScaledDownAt(rollout *v1alpha1.CanaryRollout, revision string) time.Time {
	if rollout.Status.Memory == nil {
		return time.Time{}
	}
	drain := drainOf(rollout.Status.Memory.Draining, revision)
	if drain == nil || drain.Since == nil {
		return time.Time{}
	}
	return newSettings(&rollout.Spec).drained(*drain)
}

// drainingSize returns the size of a draining revision.
func (v view) drainingSize(rs ReplicaSet) (size int32, change gate) {
	drain := drainOf(v.mem.Draining, rs.Revision)
	if drain == nil || drain.Since == nil || v.strategy.isReachable(v, rs.Revision) {
		return rs.Desired, gate{}
	}
	if change = v.until(v.drained(*drain)); change.shut {
		return rs.Desired, change
	}
	return 0, gate{}
}

// trimHistory deletes the oldest ReplicaSets without pods beyond the limit.
func (w *writes) trimHistory() {
	var old []ReplicaSet
	for _, rs := range w.in.Observed.ReplicaSets {
		if rs.Desired == 0 && rs.Replicas == 0 && rs.Current && !w.isNeeded(rs.Revision) {
			old = append(old, rs)
		}
	}
	slices.SortFunc(old, func(a, b ReplicaSet) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Name, b.Name))
	})
	for i := int(w.spec.historyLimit); i < len(old); i++ {
		w.act(DeleteReplicaSet{
			Reason: Reason(fmt.Sprintf("more than %d ReplicaSets without pods", w.spec.historyLimit)), Name: old[i].Name,
		})
	}
}

func (v view) isNeeded(revision string) bool {
	needed := []string{v.mem.StableRevision, v.mem.CurrentRevision, v.target(),
		v.mem.StableService.Revision, v.mem.CanaryService.Revision}
	return slices.Contains(needed, revision)
}
