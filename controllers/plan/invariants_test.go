// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// checkPlan checks what a pass does against T1 and the weights, as the data plane sees it, not as it was reported to the
// operator.
func checkPlan(before *world, plan Plan) string {
	if plan.Status.Memory == nil || before.status.Memory == nil || !before.deleted.IsZero() || before.isAhead {
		return ""
	}
	prior, mem := before.status.Memory, plan.Status.Memory
	if mem.Traffic.Weight < 0 || mem.Traffic.Weight > 100 {
		return fmt.Sprintf("weight %d", mem.Traffic.Weight)
	}
	if mem.Phase == v1alpha1.PhaseStepping && mem.Traffic.Weight > max(mem.StepTargets.Weight, prior.Traffic.Weight) {
		return fmt.Sprintf("P1: weight %d above the step's %d", mem.Traffic.Weight, mem.StepTargets.Weight)
	}
	if moved(prior.StableService, mem.StableService) && index(mem.StableService.Revision) != before.stable.selector && before.reaches(&before.stable) && before.toStable() {
		return "T1: the stable Service moves while it carries traffic"
	}
	if moved(prior.CanaryService, mem.CanaryService) && before.reaches(&before.canary) && (before.toCanary() || before.copiesToCanary()) {
		return "T1: the canary Service moves while it carries traffic"
	}
	if canary := before.canary.slices[max(index(prior.CurrentRevision), 0)]; mem.Traffic.MirrorPercent > prior.Traffic.MirrorPercent &&
		canary < before.need(prior, Traffic{Weight: mem.Traffic.Weight, Mirror: mem.Traffic.MirrorPercent}.load()) {
		return fmt.Sprintf("T2: weight %d and copies of %d on %d ready endpoints", mem.Traffic.Weight, mem.Traffic.MirrorPercent, canary)
	}
	isWalked := prior.StepsHash == stepsHash(before.spec.Steps)
	if mem.StepIndex > prior.StepIndex && isWalked && prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseStepping &&
		before.spec.Steps[prior.StepIndex].SetWeight != nil && before.anyRoute(before.shows) {
		return fmt.Sprintf("T4: step %d is done, and the data plane does not route weight %d", prior.StepIndex+1, prior.StepTargets.Weight)
	}
	if isForward := mem.StepIndex > prior.StepIndex || mem.Traffic.Weight > prior.Traffic.Weight; before.spec.Paused && isForward &&
		prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseStepping && prior.Command == nil {
		return fmt.Sprintf("spec.paused does not hold step %d at weight %d", prior.StepIndex+1, prior.Traffic.Weight)
	}
	if why := cmp.Or(checkSizes(before, plan), checkMeasured(before, plan)); why != "" {
		return why
	}
	return checkWeight(before, prior, mem)
}

// checkSizes checks T3 for each ReplicaSet that shrinks: the remaining pods must be able to handle what the data plane sends.
func checkSizes(before *world, plan Plan) string {
	for _, action := range plan.Actions {
		scale, isScale := action.(ScaleReplicaSet)
		if !isScale {
			continue
		}
		revision := before.setIndex(scale.Name)
		need := share(before.size(), before.load()[revision])
		if mem := before.status.Memory; mem.StepTargets.Scale != nil && name(revision) == mem.CurrentRevision {
			need = min(need, before.need(mem, 100))
		}
		if scale.Replicas < min(need, before.sets[revision].desired) {
			return fmt.Sprintf("T3: revision %s is left %d pods, and needs %d", name(revision), scale.Replicas, need)
		}
	}
	return ""
}

// need returns the number of pods that a load needs: its share, or the size that the steps pin.
func (w *world) need(mem *v1alpha1.Memory, load int32) int32 {
	if scale := mem.StepTargets.Scale; scale != nil && scale.Mode == v1alpha1.ScaleModeExact {
		return *scale.Replicas
	}
	return max(1, share(w.size(), load))
}

// load returns what the data plane sends to each revision, in percent of all requests: its own requests, and copies.
func (w *world) load() [revisions]int32 {
	load := w.answers()
	for i, endpoints := range w.canary.proxies {
		if copies := w.route(0).proxyMirror; copies > 0 && endpoints > 0 && w.sets[i].ready > 0 {
			load[i] = min(load[i]+copies*endpoints/sum(w.canary.proxies), 100)
		}
	}
	return load
}

// checkAction checks an action against the world at the moment it is carried out. It is not enough that it was right when it
// was decided: since then pods may have died, and somebody may have changed a route or a Service.
func (w *world) checkAction(action Action) string {
	if w.isGivenUp() || w.isAhead || w.size() == 0 {
		return ""
	}
	switch a := action.(type) {
	case PointService:
		return w.checkMove(a)
	case SetTraffic:
		return w.checkTraffic(a)
	default:
		return ""
	}
}

// checkMove checks T1 when a Service gets another selector. Restoring one that somebody removed is not a move.
func (w *world) checkMove(move PointService) string {
	s, to := w.service(move.Name), index(move.Revision)
	isCarrying := w.anyManaged(func(r *routeWorld) bool { return r.weight < 100 || r.proxyWeight < 100 })
	if s == &w.canary {
		isCarrying = w.anyRoute(func(r *routeWorld) bool {
			return r.weight > 0 || r.mirror > 0 || r.headers || r.proxyWeight > 0 || r.proxyMirror > 0 || r.proxyHeaders
		})
	}
	switch {
	case to == none: // the end, when the pods of one revision are left
		return ""
	case s.stripped && sum(s.slices) > 0 && w.sets[to].ready == 0:
		return fmt.Sprintf("T1: the repair of Service %s leaves it no ready endpoint", move.Name)
	case !s.stripped && w.reachesOther(s, to) && isCarrying:
		return fmt.Sprintf("T1: Service %s is pointed at revision %s while it carries traffic", move.Name, move.Revision)
	default:
		return ""
	}
}

// reachesOther reports whether the data plane reaches a pod of another revision through a Service, and a pass can know that.
func (w *world) reachesOther(s *service, revision int) bool {
	for i, count := range s.proxies {
		if i != revision && count > 0 && w.sets[i].ready > 0 {
			return sum(s.slices) > s.slices[revision]
		}
	}
	return false
}

// checkTraffic checks T2 when a route gets another share: a revision that gets more has ready endpoints.
func (w *world) checkTraffic(set SetTraffic) string {
	r, stable, canary := w.routeNamed(set.Name), sum(w.stable.slices), int32(0)
	if revision := w.status.Memory.CanaryService.Revision; revision != "" {
		pods, _ := w.reported(index(revision))
		canary = min(w.canary.slices[index(revision)], pods)
	}
	switch {
	case canary == 0 && (set.Weight > r.weight || set.Mirror > r.mirror || len(set.HeaderRoutes) > 0 && !r.headers):
		return fmt.Sprintf("T2: route %s gets weight %d and copies of %d, and the canary has no ready endpoint", set.Name, set.Weight, set.Mirror)
	case stable == 0 && canary > 0 && set.Weight < r.weight && (w.status.Memory.StableRevision != "" || w.migrating):
		return fmt.Sprintf("T2: route %s gets weight %d, and stable has no ready endpoint", set.Name, set.Weight)
	default:
		return ""
	}
}

// checkWeight checks a changed weight against the endpoints that the pass saw: T2 for a rise, T9 for a rollback, and the
// failover from a dying canary.
func checkWeight(before *world, prior, mem *v1alpha1.Memory) string {
	current, replicas := index(prior.CurrentRevision), before.size()
	was, is := prior.Traffic.Weight, mem.Traffic.Weight
	canary, stable := before.canary.slices[max(current, 0)], sum(before.stable.slices)
	switch {
	case is > was && mem.Phase == v1alpha1.PhaseStepping && canary < before.need(prior, is):
		return fmt.Sprintf("T2: weight %d on %d ready endpoints", is, canary)
	case is > was && mem.Phase == v1alpha1.PhasePromoting && canary < replicas:
		return fmt.Sprintf("T8: all traffic on %d ready endpoints", canary)
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.slices[current] < replicas:
		return fmt.Sprintf("T8: all traffic back on %d ready endpoints", before.stable.slices[current])
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.proxies[current] == 0 && !before.sets[current].killed && !before.stable.excused:
		return "T2: all traffic back on endpoints that no proxy can be relied on to know"
	case is > 0 && stable > 0 && prior.StableService.Revision == prior.StableRevision &&
		prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseRollingBack:
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

// reaches reports whether the data plane reaches a pod through a Service, and a pass can know that.
func (w *world) reaches(s *service) bool {
	for i, count := range s.proxies {
		if count > 0 && w.sets[i].ready > 0 {
			return sum(s.slices) > 0
		}
	}
	return false
}

// checkWorld checks in a world what users rely on.
func checkWorld(w *world) string {
	if w.gone || w.wrong != "" {
		return w.wrong
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
	if mem == nil || w.edited || w.isAhead {
		return ""
	}
	if w.status.State == v1alpha1.StateAborted && (w.toCanary() || w.copiesToCanary()) && mem.Draining == nil {
		return "an aborted revision gets requests"
	}
	if !w.isGivenUp() && mem.Traffic.VerifiedAt != nil && w.anyRoute(w.shows) {
		return fmt.Sprintf("T4: weight %d is verified, and the data plane does not route it", mem.Traffic.Weight)
	}
	return ""
}

// isGivenUp reports whether a deletion took so long that the finalizer is removed, whatever happens to the requests.
func (w *world) isGivenUp() bool {
	return !w.deleted.IsZero() && !w.now.Before(w.deleted.Add(handBackTimeout))
}

// lost returns a backend that would fail a request right now; empty if there is none.
func (w *world) lost() string {
	if w.size() == 0 || w.isAhead {
		return ""
	}
	for _, s := range []*service{&w.stable, &w.canary} {
		for i, count := range s.proxies { // clients that use a Service without the route
			if set := w.sets[i]; count > 0 && set.ready == 0 && !set.killed {
				return fmt.Sprintf("T3: a client of a Service still reaches revision %s, which has no pod", name(i))
			}
		}
	}
	if w.toStable() {
		if why := w.fails(&w.stable, "stable"); why != "" {
			return why
		}
	}
	if w.toCanary() {
		return w.fails(&w.canary, "canary")
	}
	return ""
}

func (w *world) fails(s *service, role string) string {
	excused, served := s.excused || w.isAhead, false
	for i, count := range s.proxies {
		set := w.sets[i]
		excused = excused || set.killed
		served = served || count > 0
	}
	if !served && !excused {
		return fmt.Sprintf("requests go to the %s Service, and the data plane knows no endpoint of it", role)
	}
	return ""
}
