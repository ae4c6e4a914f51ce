// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// writeReplicaSets creates what is missing, sizes what is there, and deletes what is past the history limit.
func (w *writes) writeReplicaSets() {
	for _, revision := range w.wantedRevisions() {
		w.createMissing(revision)
	}
	for _, rs := range w.in.Observed.ReplicaSets {
		w.scale(rs)
	}
	w.markReplicaSets()
	w.trimHistory()
}

// wantedRevisions are the revisions that memory wants pods of.
func (v view) wantedRevisions() []string {
	current, stable := v.mem.CurrentRevision, v.mem.StableRevision
	switch {
	case stable == "":
		return []string{current}
	case current == stable, v.mem.Phase == v1alpha1.PhaseRollingBack:
		return []string{stable}
	default:
		return []string{stable, current}
	}
}

// createMissing can only make pods of the template in spec: another revision's template went with its ReplicaSet.
func (w *writes) createMissing(revision string) {
	if w.replicaSet(revision).Name != "" || w.target() != revision || w.mem.Template.Revision != revision {
		return
	}
	size, change := w.size(ReplicaSet{Revision: revision})
	w.await(change)
	w.act(CreateReplicaSet{
		Reason: Reason("revision " + revision + " has no ReplicaSet"), Revision: revision,
		TemplateHash: w.mem.Template.Hash, Replicas: size,
	})
}

func (w *writes) scale(rs ReplicaSet) {
	replicas, change := w.size(rs)
	w.await(change)
	minReadySeconds := w.in.Spec.MinReadySeconds
	if rs.Desired == replicas && rs.MinReadySeconds == minReadySeconds {
		return
	}
	w.act(ScaleReplicaSet{
		Reason: Reason(fmt.Sprintf("%s revision %s from %d to %s", w.role(rs.Revision), rs.Revision, rs.Desired, Quantity(replicas, "pod"))),
		Name:   rs.Name, Replicas: replicas, MinReadySeconds: minReadySeconds,
	})
}

// size is how many pods a ReplicaSet should have, and when the clock may change that.
func (v view) size(rs ReplicaSet) (size int32, change gate) {
	replicas := v.spec.replicas
	switch {
	case replicas == 0, rs.Revision == "":
		return 0, gate{}
	case rs.Revision == v.mem.StableRevision:
		return replicas, gate{}
	case rs.Revision != v.mem.CurrentRevision:
		return v.drainingSize(rs)
	case v.mem.Phase == v1alpha1.PhaseStepping:
		if isWarm, cold := v.isWarm(rs.Revision); isWarm {
			return max(rs.Desired, v.canarySize()), cold
		}
		return v.canarySize(), gate{}
	case v.mem.Phase == v1alpha1.PhasePromoting, v.mem.StableService.Revision == rs.Revision:
		return replicas, gate{}
	default: // rolling back: an aborted canary never grows
		return rs.Desired, gate{}
	}
}

// canarySize is the size that the steps ask for, and never less than the traffic needs; unless it is pinned.
func (v view) canarySize() int32 {
	byLoad := v.podsFor(max(v.mem.Traffic.MaxLoadPercent, v.traffic().load(), v.stepTraffic().load()))
	isPinned, asked := v.stepScale()
	if isPinned {
		return asked
	}
	size := max(byLoad, asked)
	if len(v.mem.StepTargets.HeaderRoutes) > 0 || v.mem.CanaryService.Revision == v.mem.CurrentRevision {
		size = max(size, 1) // a header route never leads to no pod, and what the canary Service selects has one (T3)
	}
	return size
}

// stepScale is the size that the last setCanaryScale asks for, and whether it is pinned.
func (v view) stepScale() (isPinned bool, size int32) {
	scale := v.mem.StepTargets.Scale
	switch {
	case scale == nil:
		return false, 0
	case scale.Replicas != nil:
		size = *scale.Replicas
	case scale.Weight != nil:
		size = share(v.spec.replicas, *scale.Weight)
	}
	if scale.Mode == v1alpha1.ScaleModeExact {
		return true, max(size, 1)
	}
	return false, size
}

// podsFor is the number of ready pods that a load takes, in percent of all requests (T2).
func (v view) podsFor(load int32) int32 {
	if load == 0 {
		return 0
	}
	if isPinned, size := v.stepScale(); isPinned && v.mem.Phase == v1alpha1.PhaseStepping {
		return size
	}
	return max(1, share(v.spec.replicas, load))
}

func (v view) role(revision string) string {
	switch revision {
	case v.mem.StableRevision:
		return "stable"
	case v.mem.CurrentRevision:
		return "canary"
	default:
		return "former"
	}
}
