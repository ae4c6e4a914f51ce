// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// writeReplicaSets creates missing ReplicaSets, scales the existing ones, and deletes those beyond the history limit.
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

// wantedRevisions returns the revisions that should have pods.
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

// createMissing creates the ReplicaSet of a revision that has none. It can do so only for the template in the spec: the
// template of any other revision was lost with its ReplicaSet.
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

// size returns how many pods a ReplicaSet should have, and a gate that opens when time changes that number.
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

// canarySize returns the size that the steps ask for. Unless it is pinned, it is at least what the traffic needs.
func (v view) canarySize() int32 {
	byLoad := v.podsFor(max(v.mem.Traffic.MaxLoadPercent, v.traffic().load(), v.stepTraffic().load()))
	isPinned, asked := v.stepScale()
	if isPinned {
		return asked
	}
	size := max(byLoad, asked)
	if len(v.mem.StepTargets.HeaderRoutes) > 0 || v.mem.CanaryService.Revision == v.mem.CurrentRevision {
		size = max(size, 1) // header routes, and the canary Service (T3), need at least one pod
	}
	return size
}

// stepScale returns the size that the last setCanaryScale asks for, and whether it is pinned.
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

// podsFor returns the number of ready pods that a load needs (T2). The load is in percent of all requests.
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
