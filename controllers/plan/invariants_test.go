// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// checkPlan holds what a pass does against T1 and the weights: with the eye of the data plane, not with what was
// reported to the operator.
func checkPlan(before *world, plan Plan) string {
	if plan.Status.Memory == nil || before.status.Memory == nil || !before.deleted.IsZero() {
		return ""
	}
	prior, mem := before.status.Memory, plan.Status.Memory
	if mem.Traffic.Weight < 0 || mem.Traffic.Weight > 100 {
		return fmt.Sprintf("weight %d", mem.Traffic.Weight)
	}
	if mem.Phase == v1alpha1.PhaseStepping && mem.Traffic.Weight > max(mem.StepWeight, prior.Traffic.Weight) {
		return fmt.Sprintf("P1: weight %d above the step's %d", mem.Traffic.Weight, mem.StepWeight)
	}
	if moved(prior.StableService, mem.StableService) && index(mem.StableService.Revision) != before.stable.selector && before.reaches(&before.stable) && before.toStable() {
		return "T1: the stable Service moves while it carries traffic"
	}
	if moved(prior.CanaryService, mem.CanaryService) && before.reaches(&before.canary) && (before.toCanary() || before.copiesToCanary()) {
		return "T1: the canary Service moves while it carries traffic"
	}
	if canary := before.canary.slices[max(index(prior.CurrentRevision), 0)]; mem.Traffic.MirrorPercent > prior.Traffic.MirrorPercent &&
		canary < max(1, share(*before.spec.Replicas, loadOf(mem.Traffic.Weight, mem.Traffic.MirrorPercent))) {
		return fmt.Sprintf("T2: weight %d and copies of %d on %d ready endpoints", mem.Traffic.Weight, mem.Traffic.MirrorPercent, canary)
	}
	return checkWeight(before, prior, mem)
}

// checkWeight holds a changed weight against the endpoints that the pass saw: T2 for a rise, T9 for a return, and the
// flight from a dying canary.
func checkWeight(before *world, prior, mem *v1alpha1.Memory) string {
	current, replicas := index(prior.CurrentRevision), *before.spec.Replicas
	was, is := prior.Traffic.Weight, mem.Traffic.Weight
	canary, stable := before.canary.slices[max(current, 0)], sum(before.stable.slices)
	switch {
	case is > was && mem.Phase == v1alpha1.PhaseStepping && canary < max(1, share(replicas, is)):
		return fmt.Sprintf("T2: weight %d on %d ready endpoints", is, canary)
	case is > was && mem.Phase == v1alpha1.PhasePromoting && canary < replicas:
		return fmt.Sprintf("T8: all traffic on %d ready endpoints", canary)
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.slices[current] < replicas:
		return fmt.Sprintf("T8: all traffic back on %d ready endpoints", before.stable.slices[current])
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.proxies[current] == 0 && !before.sets[current].killed:
		return "T2: all traffic back on endpoints that no proxy can be relied on to know"
	case is > 0 && stable > 0 && prior.StableService.Revision == prior.StableRevision &&
		prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseReturning:
		return "T9: traffic does not go back at once"
	case is > 0 && stable > 0 && canary == 0 && prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseStepping &&
		before.canary.selector == current && prior.CanaryService.Revision == prior.CurrentRevision:
		return "a dying canary keeps its traffic"
	}
	return ""
}

func sum(endpoints [revisions]int32) int32 {
	var all int32
	for _, count := range endpoints {
		all += count
	}
	return all
}

func moved(before, after v1alpha1.ServiceMemory) bool {
	return before.Revision != "" && before.Revision != after.Revision
}

// reaches says that the data plane reaches a pod through a Service, and that a pass can know of it.
func (w *world) reaches(s *service) bool {
	for i, count := range s.proxies {
		if count > 0 && w.sets[i].ready > 0 {
			return sum(s.slices) > 0
		}
	}
	return false
}

// checkWorld holds a world against what users rely on.
func checkWorld(w *world) string {
	if w.gone {
		return ""
	}
	if mem := w.status.Memory; mem != nil && (mem.StableRevision != "" || w.migrating) && !w.isGivenUp() {
		why := w.lost()
		isOthers := w.edited && w.anyRoute(func(r *routeWorld) bool { return r.proxyWeight != mem.Traffic.Weight })
		if why != "" && !isOthers {
			return why
		}
	}
	if w.promotes < 0 {
		return "a promote was carried out twice"
	}
	mem := w.status.Memory
	if mem == nil || w.edited {
		return ""
	}
	if w.status.State == v1alpha1.StateAborted && (w.toCanary() || w.copiesToCanary()) && mem.Draining == nil {
		return "an aborted revision gets requests"
	}
	return ""
}

// isGivenUp says that a deletion took so long that the rollout is let go, whatever becomes of its requests.
func (w *world) isGivenUp() bool {
	return !w.deleted.IsZero() && !w.now.Before(w.deleted.Add(terminationPatience))
}
