// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Queries and moves for strategies that use Services.

// writeService makes a Service select the revision in memory: it carries out a move, or restores a selector that somebody
// changed. isIdle is open while the Service is verified to get no requests.
func (w *writes) writeService(service Service, memory v1alpha1.ServiceMemory, isIdle gate) {
	if !service.Found || service.Problem != nil || memory.Revision == "" || service.Revision == memory.Revision {
		return
	}
	if ready(service) > 0 && w.replicaSet(memory.Revision).Ready == 0 && !(w.isForward(service, memory) && w.await(isIdle)) {
		w.stall(&Problem{Reason: v1alpha1.ReasonStableUnavailable, Message: fmt.Sprintf(
			"Service %s selects %s instead of revision %s, but no pod of %s is ready: the selector is not changed until one is",
			service.Name, selects(service), memory.Revision, memory.Revision)})
		return
	}
	if w.canReachDrained(service) {
		return
	}
	if !w.isLossless(service, memory) && !w.await(isIdle) {
		w.wait(fmt.Sprintf("Service %s moves to revision %s once the routes are verified again to send nothing to it", service.Name, memory.Revision))
		return
	}
	move := PointService{
		Reason: Reason(fmt.Sprintf("%s should select revision %s, but selects %s", service.Name, memory.Revision, selects(service))),
		Name:   service.Name, Revision: memory.Revision,
	}
	if memory.Narrowed && memory.ReadyAt != nil && !service.Created.After(memory.ReadyAt.Time) { // this object has selected that revision before
		move.Event = Event{Warning: true, Repeats: true, Reason: EventServiceOverwritten, Message: fmt.Sprintf(
			"%s made Service %s select %s: it is restored to revision %s",
			writer(service.FieldManager), service.Name, selects(service), memory.Revision)}
	}
	w.act(move)
}

// isForward reports whether the canary Service moves to the revision in flight. The pods of that revision may wait to become
// its endpoints.
func (v view) isForward(service Service, memory v1alpha1.ServiceMemory) bool {
	return service.Name == v.in.Observed.Canary.Name && !memory.Selected && memory.ReadyAt == nil &&
		memory.Revision == v.mem.CurrentRevision && memory.Revision != v.mem.StableRevision
}

// isLossless reports whether a Service may be moved whatever the routes carry. Together with isIdle of writeService it checks
// T1 against the observations of this pass: the move may have been decided long before, and somebody may have changed the
// routes since. A Service that already selected its revision is restored at once, and so is one of an idle rollout. A move
// that takes no ready endpoint away from a Service loses nothing.
func (v view) isLossless(service Service, memory v1alpha1.ServiceMemory) bool {
	isRepair := memory.Selected || memory.ReadyAt != nil || v.mem.Phase == v1alpha1.PhaseIdle
	return isRepair || ready(service) == readyOf(service, memory.Revision)
}

// canReachDrained reports whether a Service reaches a revision that memory records as drained. This pass then only removes the
// record, and the next one restores the Service: if the status of a pass that did both were lost, the pods would be deleted
// by the old time (T3).
func (v view) canReachDrained(service Service) bool {
	return slices.ContainsFunc(v.mem.Draining, func(drain v1alpha1.DrainMemory) bool {
		return drain.Since != nil && canReach(service, drain.Revision)
	})
}

// canReach reports whether a Service selects a revision, or still has endpoints of it.
func canReach(service Service, revision string) bool {
	isSelected := service.Revision == revision || service.Revision == "" && service.Found && service.Problem == nil
	return isSelected || endpointsOf(service, revision).Total > 0
}

// isMisdirected reports whether a Service that may be written does not select a revision.
func (s Service) isMisdirected(revision string) bool {
	return s.Found && s.Problem == nil && s.Revision != revision
}

func selects(service Service) string {
	if service.Revision == "" {
		return "every revision"
	}
	return "revision " + service.Revision
}

// moveService sets another revision as the target of a Service. Its endpoints have to become ready and settle again.
func moveService(memory *v1alpha1.ServiceMemory, revision string) {
	*memory = v1alpha1.ServiceMemory{Name: memory.Name, Revision: revision, Narrowed: memory.Narrowed}
}

// watchService records since when the endpoints of a moved Service are complete (T2).
func (t *transition) watchService(service Service, memory *v1alpha1.ServiceMemory) {
	if memory.Revision != "" && service.Revision == memory.Revision {
		memory.Selected, memory.Narrowed = true, true
	}
	switch {
	case memory.Revision == "":
	case memory.ReadyAt != nil:
		t.watchLoss(service, memory)
	case t.servesOnly(service, memory.Revision):
		memory.ReadyAt = t.now()
	}
}

// watchLoss records that a revision in flight has lost all its endpoints. Data planes have to learn new endpoints from
// scratch, so these settle again before they get a weight (T2). A rollback to the stable revision never waits for that
// (T9).
func (t *transition) watchLoss(service Service, memory *v1alpha1.ServiceMemory) {
	if memory.Revision == t.mem.StableRevision || !t.isDown(service, memory.Revision) {
		return
	}
	memory.ReadyAt = nil
	if t.mem.Progress.EndpointsLostAt == nil {
		t.mem.Progress.EndpointsLostAt = t.now()
	}
}

// isDown reports whether a revision has no ready endpoint in a Service, or no ready pod. The ReplicaSet often shows that
// before the slices do.
func (v view) isDown(service Service, revision string) bool {
	return readyOf(service, revision) == 0 || v.replicaSet(revision).Ready == 0
}

// servesOnly reports whether the slices have every ready pod of the revision, and no ready pod of another revision of ours.
func (v view) servesOnly(service Service, revision string) bool {
	return service.Revision == revision && !servesOther(service, revision) && !v.isDown(service, revision) &&
		readyOf(service, revision) >= v.replicaSet(revision).Ready
}

func servesOther(service Service, revision string) bool {
	return slices.ContainsFunc(service.Endpoints, func(endpoints Endpoints) bool {
		return endpoints.Revision != revision && endpoints.Revision != "" && endpoints.Ready > 0
	})
}

// serves is open when the Service has enough ready endpoints of the revision that it should select, and the endpoints have
// settled since it was moved (T2).
func (v view) serves(service Service, memory v1alpha1.ServiceMemory, need int32) gate {
	if service.Revision != memory.Revision || readyOf(service, memory.Revision) < need {
		return endpointsMissing(service, memory.Revision, need)
	}
	return v.endpointsSettled(service, memory)
}

func endpointsMissing(service Service, revision string, need int32) gate {
	g := waitFor("waiting for %s of revision %s in Service %s: %d so far",
		Quantity(need, "ready endpoint"), revision, service.Name, readyOf(service, revision))
	g.problem = portProblem(service, revision)
	return g
}

// endpointsSettled is open when the Service has had the endpoints of its revision for long enough since it was moved.
func (v view) endpointsSettled(service Service, memory v1alpha1.ServiceMemory) gate {
	if memory.ReadyAt == nil {
		return waitFor("waiting until Service %s has the endpoints of revision %s and no others", service.Name, memory.Revision)
	}
	g := v.until(memory.ReadyAt.Add(v.spec.settle))
	if g.shut {
		g.message = fmt.Sprintf("the endpoints of Service %s are ready and settle until %s", service.Name, clock(g.opensAt))
	}
	return g
}

// portProblem returns a problem if ready pods get no traffic because they do not serve a port of their Service.
func portProblem(service Service, revision string) *Problem {
	endpoints := endpointsOf(service, revision)
	if endpoints.LacksPort == "" {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonServicePortNotServed, Message: fmt.Sprintf("revision %s would get no request: %s", revision, endpoints.LacksPort)}
}

// sharedProblem returns which endpoints other workloads would lose when a Service is narrowed to this rollout for the first
// time; nil if none.
func sharedProblem(service Service, memory v1alpha1.ServiceMemory) *Problem {
	if memory.Narrowed || memory.Revision == "" || len(service.Others) == 0 {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonServiceShared, Message: fmt.Sprintf(
		"Service %s would lose %s of other workloads (%s) when it selects revision %s alone: give the rollout a Service of its own, "+
			"or set spec.traffic.otherEndpoints to Remove if that is intended",
		service.Name, Quantity(int32(len(service.Others)), "ready endpoint"), some(service.Others), memory.Revision)} //nolint:gosec // a number of pods
}

// some joins the first few names.
func some(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

// ready returns the number of ready endpoints, including those of others: all that a move could lose.
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
