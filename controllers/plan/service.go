// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// checkShared makes a problem of the endpoints that other workloads would lose when the Services are narrowed to this
// rollout for the first time. A first deploy replaces what answered before (T8); a selector that was widened is put back.
func (p *pass) checkShared() {
	if p.prior.StableRevision == "" || p.in.Spec.Traffic.OtherEndpoints == v1alpha1.OtherEndpointsRemove {
		return
	}
	markShared(&p.in.Observed.Stable, p.prior.StableService)
	markShared(&p.in.Observed.Canary, p.prior.CanaryService)
}

func markShared(service *Service, memory v1alpha1.ServiceMemory) {
	if service.Problem != nil || memory.Narrowed || memory.Revision == "" || len(service.Others) == 0 {
		return
	}
	service.Problem = &Problem{Reason: v1alpha1.ReasonServiceShared, Message: fmt.Sprintf(
		"Service %s would lose %s of other workloads (%s) when it selects revision %s alone: give the rollout a Service of its own, "+
			"or set spec.traffic.otherEndpoints to Remove if that is meant",
		service.Name, Quantity(int32(len(service.Others)), "ready endpoint"), some(service.Others), memory.Revision)} //nolint:gosec // a number of pods
}

// some are the first of many names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// serviceActions points both Services at the revisions in memory: a move that was decided, or the repair of a
// selector that somebody changed. A move that may not be made any more is taken back instead.
func (p *pass) serviceActions() {
	switch {
	case p.isOvertaken():
		p.moveService(&p.mem.StableService, p.mem.CurrentRevision)
	case p.isOutlived(): // it never left, and has served since before this phase began
		p.moveService(&p.mem.StableService, p.mem.StableRevision)
		p.mem.StableService.ReadyAt = p.prior.TransitionedAt
	default:
		p.pointService(p.in.Observed.Stable, p.prior.StableService, p.prior.Traffic.Weight == 100)
	}
	p.pointService(p.in.Observed.Canary, p.prior.CanaryService, !ReachesCanary(p.prior.Traffic))
}

// pointService lets a Service select the revision in memory. carriesNothing says that the target of traffic leaves the
// Service idle.
func (p *pass) pointService(service Service, memory v1alpha1.ServiceMemory, carriesNothing bool) {
	if !service.Found || service.Problem != nil || memory.Revision == "" || service.Revision == memory.Revision {
		return
	}
	if ready(service) > 0 && p.replicaSet(memory.Revision).Ready == 0 && !(carriesNothing && p.isForward(service, memory) && p.isStillSettled()) {
		p.stall(v1alpha1.ReasonStableUnavailable,
			"Service %s selects %s instead of revision %s, but no pod of %s is ready: it is left as it is until one is",
			service.Name, selects(service), memory.Revision, memory.Revision)
		return
	}
	if p.admitsDrained(service) {
		return
	}
	if !p.mayMove(service, memory, carriesNothing) {
		p.wait("Service %s moves to revision %s when the routes are proven again to send nothing to it", service.Name, memory.Revision)
		return
	}
	if memory.Narrowed && memory.ReadyAt != nil && !service.Created.After(memory.ReadyAt.Time) { // this object selected that revision before
		p.warnRepeated(EventServiceOverwritten, "%s made Service %s select %s: it is put back to revision %s",
			writer(service.FieldManager), service.Name, selects(service), memory.Revision)
	}
	p.act(PointService{
		Reason: Reason(fmt.Sprintf("%s is meant to select revision %s, and selects %s", service.Name, memory.Revision, selects(service))),
		Name:   service.Name, Revision: memory.Revision,
	})
}

// isForward says that the canary Service moves to the revision in flight, whose pods may wait to become its endpoints.
func (p *pass) isForward(service Service, memory v1alpha1.ServiceMemory) bool {
	return service.Name == p.in.Observed.Canary.Name && !memory.Selected && memory.ReadyAt == nil &&
		memory.Revision == p.prior.CurrentRevision && memory.Revision != p.prior.StableRevision
}

// mayMove holds T1 against the world of this pass. The move may have been decided long before, and somebody may have
// changed the routes since. A Service that selected its revision already is repaired at once, and so is one at rest; a
// move that takes no ready endpoint away from a Service loses nothing.
func (p *pass) mayMove(service Service, memory v1alpha1.ServiceMemory, carriesNothing bool) bool {
	isRepair := memory.Selected || memory.ReadyAt != nil || p.prior.Phase == v1alpha1.PhaseIdle
	return isRepair || ready(service) == readyOf(service, memory.Revision) || carriesNothing && p.isStillSettled()
}

// isStillSettled says that every route shows the target, whose proof in memory has settled.
func (p *pass) isStillSettled() bool {
	verifiedAt := p.prior.Traffic.VerifiedAt
	if verifiedAt == nil || !p.reached(verifiedAt.Add(p.spec.settle)) {
		return false
	}
	return !slices.ContainsFunc(p.in.Observed.Routes, func(route Route) bool {
		return !p.carries(route) && !p.isOutOfReach(route)
	})
}

// admitsDrained says that a Service reaches a revision again of which memory says since when nothing does. That is void
// first, and the repair left to the pass that follows: were its status lost, the pods would go by the old moment (T3).
func (p *pass) admitsDrained(service Service) bool {
	return slices.ContainsFunc(p.prior.Draining, func(drain v1alpha1.DrainMemory) bool {
		return drain.Since != nil && admits(service, drain.Revision)
	})
}

// admits says that a Service selects a revision, or still has endpoints of it.
func admits(service Service, revision string) bool {
	isSelected := service.Revision == revision || service.Revision == "" && service.Found && service.Problem == nil
	return isSelected || endpointsOf(service, revision).Total > 0
}

func selects(service Service) string {
	if service.Revision == "" {
		return "every revision"
	}
	return "revision " + service.Revision
}

// watchServices notes since when the endpoints of a moved Service are complete (T2).
func (p *pass) watchServices() {
	p.watchService(p.in.Observed.Stable, &p.mem.StableService)
	p.watchService(p.in.Observed.Canary, &p.mem.CanaryService)
}

func (p *pass) watchService(service Service, memory *v1alpha1.ServiceMemory) {
	if memory.Revision != "" && service.Revision == memory.Revision {
		memory.Selected, memory.Narrowed = true, true
	}
	switch {
	case memory.Revision == "":
	case memory.ReadyAt != nil:
		p.watchLoss(service, memory)
	case p.servesOnly(service, memory.Revision):
		memory.ReadyAt = p.now()
	}
}

// watchLoss notes that a revision in flight has lost all its endpoints. Data planes have to learn of the next ones from
// the start, so these settle again before they get a weight (T2). A return to the stable revision never waits for that
// (T9).
func (p *pass) watchLoss(service Service, memory *v1alpha1.ServiceMemory) {
	if memory.Revision == p.mem.StableRevision || !p.isDown(service, memory.Revision) {
		return
	}
	memory.ReadyAt = nil
	if p.mem.Progress.EndpointsLostAt == nil {
		p.mem.Progress.EndpointsLostAt = p.now()
	}
}

// isDown says that a revision serves nothing by a Service. A ReplicaSet often learns of its pods before the slices do;
// either of them is enough.
func (p *pass) isDown(service Service, revision string) bool {
	return readyOf(service, revision) == 0 || p.replicaSet(revision).Ready == 0
}

// servesOnly says that the slices hold every ready pod of the revision and none of another one of ours.
func (p *pass) servesOnly(service Service, revision string) bool {
	return service.Revision == revision && !servesOther(service, revision) && !p.isDown(service, revision) &&
		readyOf(service, revision) >= p.replicaSet(revision).Ready
}

func servesOther(service Service, revision string) bool {
	return slices.ContainsFunc(service.Endpoints, func(endpoints Endpoints) bool {
		return endpoints.Revision != revision && endpoints.Revision != "" && endpoints.Ready > 0
	})
}

// moveService gives a Service another revision; its endpoints have to become ready and to settle anew.
func (p *pass) moveService(memory *v1alpha1.ServiceMemory, revision string) {
	*memory = v1alpha1.ServiceMemory{Name: memory.Name, Revision: revision, Narrowed: memory.Narrowed}
}

// canServe is the condition of T2: the Service holds enough ready endpoints of the revision that it is meant to
// select, and has done so long enough since it was moved.
func (p *pass) canServe(service Service, memory v1alpha1.ServiceMemory, need int32) bool {
	if service.Revision != memory.Revision || readyOf(service, memory.Revision) < need {
		p.waitForEndpoints(service, memory.Revision, need)
		return false
	}
	return p.hasSettled(service, memory)
}

func (p *pass) waitForEndpoints(service Service, revision string, need int32) {
	p.stallPort(service, revision)
	p.wait("waiting for %s of revision %s in Service %s: %d so far", Quantity(need, "ready endpoint"), revision, service.Name, readyOf(service, revision))
}

// hasSettled says that the Service has had the endpoints of its revision for long enough since it was moved.
func (p *pass) hasSettled(service Service, memory v1alpha1.ServiceMemory) bool {
	if memory.ReadyAt == nil {
		p.wait("waiting until Service %s has the endpoints of revision %s and no others", service.Name, memory.Revision)
		return false
	}
	settled := memory.ReadyAt.Add(p.spec.settle)
	if !p.reached(settled) {
		p.wait("the endpoints of Service %s are ready and settle until %s", service.Name, clock(settled))
		return false
	}
	return true
}

// stallPort says why pods that are ready get no traffic: a Service leads to them by a port that they do not have.
func (p *pass) stallPort(service Service, revision string) bool {
	endpoints := endpointsOf(service, revision)
	if endpoints.LacksPort == "" {
		return false
	}
	p.stall(v1alpha1.ReasonServicePortNotServed, "revision %s would get no request: %s", revision, endpoints.LacksPort)
	return true
}

// ready counts all ready endpoints, foreign ones too: what would be lost.
func ready(service Service) int32 {
	var sum int32
	for _, endpoints := range service.Endpoints {
		sum += endpoints.Ready
	}
	return sum
}

func readyOf(service Service, revision string) int32 { return endpointsOf(service, revision).Ready }

func endpointsOf(service Service, revision string) Endpoints {
	for _, endpoints := range service.Endpoints {
		if endpoints.Revision == revision {
			return endpoints
		}
	}
	return Endpoints{}
}
