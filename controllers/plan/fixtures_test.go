// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// midway is a pass in the middle of a release: a is stable with 4 pods, b is the canary and gets that share by the
// first step. Everything is verified, and has settled for an hour.
func midway(percent int32, steps ...v1alpha1.Step) Input {
	w := newWorld(4, steps...)
	w.now, w.template, w.finalizer = epoch.Add(time.Hour), revB, true
	pods := max(1, share(4, percent))
	w.sets[revA], w.sets[revB] = replicaSet{exists: true, desired: 4, ready: 4}, replicaSet{exists: true, desired: pods, ready: pods}
	w.stable.selector, w.stable.slices[revA] = revA, 4
	w.canary.selector, w.canary.slices[revB] = revB, pods
	w.routes[0] = routeWorld{weight: percent, generation: 7, accepted: 7}
	w.status.Memory = &v1alpha1.Memory{
		Template: v1alpha1.TemplateMemory{Hash: "hash-b", Revision: "b"}, StableRevision: "a", CurrentRevision: "b",
		Phase: v1alpha1.PhaseStepping, TransitionedAt: ago(3600), StepsHash: stepsHash(steps), StepTargets: v1alpha1.StepTargetsMemory{Weight: percent},
		Traffic: v1alpha1.TrafficMemory{
			Weight: percent, VerifiedWeight: percent, VerifiedAt: ago(3600),
			Routes: []v1alpha1.RouteMemory{{Kind: "HTTPRoute", Name: "reviews", Generation: 7, CarriedAt: ago(3600)}},
		},
		StableService: v1alpha1.ServiceMemory{Name: "reviews-stable", Revision: "a", Narrowed: true, ReadyAt: ago(3600)},
		CanaryService: v1alpha1.ServiceMemory{Name: "reviews-canary", Revision: "b", Narrowed: true, ReadyAt: ago(3600)},
		Routes:        []v1alpha1.ManagedRoute{{Kind: "HTTPRoute", Name: "reviews"}},
		Progress:      v1alpha1.ProgressMemory{At: ago(60), Available: 4 + pods},
	}
	if len(steps) > 0 && steps[0].SetWeight != nil {
		w.status.Memory.StepTargets.Weight = *steps[0].SetWeight
	}
	return w.input()
}

// promoting is midway through T8, with the canary at full size; rollingBack is midway through T9.
func promoting(percent int32) Input {
	return changed(midway(percent), phase(v1alpha1.PhasePromoting), pods("b", 4))
}
func rollingBack(percent int32) Input {
	return changed(midway(percent), phase(v1alpha1.PhaseRollingBack))
}

// idle has a as its stable revision and nothing in flight.
func idle(steps ...v1alpha1.Step) Input {
	return changed(midway(0, steps...), phase(v1alpha1.PhaseIdle), canaryAt("a"), template("a"), func(in *Input) {
		in.Prior.Memory.CurrentRevision, in.Prior.Memory.StepsHash, in.Prior.Memory.StepTargets.Weight = "a", "", 0
		in.Observed.ReplicaSets = in.Observed.ReplicaSets[:1]
	})
}

// firstDeploy deploys b as the first revision.
func firstDeploy() Input {
	return changed(promoting(0), func(in *Input) {
		mem := in.Prior.Memory
		mem.StableRevision, mem.StableService, mem.CanaryService = "", v1alpha1.ServiceMemory{Name: "reviews-stable"}, v1alpha1.ServiceMemory{Name: "reviews-canary"}
		in.Observed.ReplicaSets = in.Observed.ReplicaSets[1:]
		in.Observed.Stable.Revision, in.Observed.Stable.Endpoints = "", nil
		in.Observed.Canary.Revision, in.Observed.Canary.Endpoints = "", nil
	})
}

// change changes an input.
type change func(in *Input)

func changed(in Input, changes ...change) Input {
	for _, change := range changes {
		change(&in)
	}
	return in
}

func ago(seconds int) *metav1.MicroTime {
	return &metav1.MicroTime{Time: epoch.Add(time.Hour - time.Duration(seconds)*time.Second)}
}

func phase(p v1alpha1.Phase) change          { return memory(func(m *v1alpha1.Memory) { m.Phase = p }) }
func memory(c func(*v1alpha1.Memory)) change { return func(in *Input) { c(in.Prior.Memory) } }
func route(c func(*Route)) change            { return func(in *Input) { c(&in.Observed.Routes[0]) } }

func template(revision string) change {
	return func(in *Input) {
		in.Observed.Template = Template{Hash: "hash-" + revision, Revision: revision, Images: "reviews:" + revision}
	}
}

// set changes the ReplicaSet of a revision.
func set(revision string, c func(*ReplicaSet)) change {
	return func(in *Input) {
		for i := range in.Observed.ReplicaSets {
			if in.Observed.ReplicaSets[i].Revision == revision {
				c(&in.Observed.ReplicaSets[i])
			}
		}
	}
}

// pods gives a revision a number of pods, desired and available, and the Services that select it their endpoints.
func pods(revision string, count int32) change {
	return func(in *Input) {
		set(revision, func(rs *ReplicaSet) { rs.Desired = count })(in)
		alive(revision, count)(in)
	}
}

// alive does not change the desired size.
func alive(revision string, count int32) change {
	return func(in *Input) {
		set(revision, func(rs *ReplicaSet) { rs.Replicas, rs.Ready, rs.Available = count, count, count })(in)
		for _, service := range []*Service{&in.Observed.Stable, &in.Observed.Canary} {
			if service.Revision == revision {
				service.Endpoints = []Endpoints{{Revision: revision, Ready: count, Total: count}}
			}
		}
	}
}

func stableEndpoints(revision string, ready int32) change {
	return func(in *Input) {
		in.Observed.Stable.Endpoints = []Endpoints{{Revision: revision, Ready: ready, Total: ready}}
	}
}

func canaryEndpoints(revision string, ready int32) change {
	return func(in *Input) {
		in.Observed.Canary.Endpoints = []Endpoints{{Revision: revision, Ready: ready, Total: ready}}
	}
}

// stableAt and canaryAt move a Service, its memory and its endpoints.
func stableAt(revision string) change {
	return func(in *Input) {
		in.Prior.Memory.StableService.Revision, in.Observed.Stable.Revision = revision, revision
		stableEndpoints(revision, 4)(in)
	}
}

func canaryAt(revision string) change {
	return func(in *Input) {
		in.Prior.Memory.CanaryService.Revision, in.Observed.Canary.Revision = revision, revision
		canaryEndpoints(revision, 4)(in)
	}
}

func verified(seconds int) change {
	return memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedAt = ago(seconds) })
}

// unverified has a gateway that has not accepted the weight yet.
func unverified(in *Input) {
	in.Observed.Routes[0].AcceptedGeneration, in.Prior.Memory.Traffic.VerifiedAt = 6, nil
}

func headers(inForce bool) change {
	return func(in *Input) {
		in.Prior.Memory.StepTargets.HeaderRoutes = []v1alpha1.SetHeaderRoute{*qaRoute()}
		if in.Prior.Memory.Traffic.HeaderRoutesActive = inForce; inForce {
			in.Observed.Routes[0].Headers = HeadersCurrent
		}
	}
}

// mirror copies a percentage of the requests to the canary.
func mirror(percent int32) change {
	return func(in *Input) {
		in.Prior.Memory.StepTargets.MirrorPercent, in.Prior.Memory.Traffic.MirrorPercent = percent, percent
		in.Observed.Routes[0].Mirror = percent
	}
}

// planCase is one move: the targets that it leaves in memory, its actions, and when it has to look again.
type planCase struct {
	in      Input
	targets string
	actions []string
	wake    time.Duration
	stalled string
}

func (tc planCase) check(t *testing.T) {
	t.Helper()
	got := ComputeMove(tc.in)
	if diff := cmp.Diff(tc.targets, targets(got.Status.Memory)); diff != "" {
		t.Errorf("targets differ (-want +got):\n%s%s", diff, got.Status.Message)
	}
	if diff := cmp.Diff(tc.actions, described(got.Actions)); diff != "" {
		t.Errorf("actions differ (-want +got):\n%s", diff)
	}
	if tc.wake > 0 && !got.WakeAt.Equal(tc.in.Now.Add(tc.wake)) {
		t.Errorf("wakes %s later, want %s", got.WakeAt.Sub(tc.in.Now), tc.wake)
	}
	if stalled := conditionOf(got, v1alpha1.ConditionStalled); tc.stalled != "" && stalled.Reason != tc.stalled {
		t.Errorf("stalled by %s (%s), want %s", stalled.Reason, stalled.Message, tc.stalled)
	}
}

// targets returns the targets in memory, in one line: phase, step, weight, and what the two Services select.
func targets(m *v1alpha1.Memory) string {
	if m == nil {
		return ""
	}
	text := fmt.Sprintf("%s %d: %d%% %s/%s", m.Phase, m.StepIndex, m.Traffic.Weight, m.StableService.Revision, m.CanaryService.Revision)
	if m.Traffic.HeaderRoutesActive {
		text += " +headers"
	}
	if m.Traffic.MirrorPercent > 0 {
		text += fmt.Sprintf(" +mirror %d", m.Traffic.MirrorPercent)
	}
	if m.AbortedRevision != "" {
		text += " aborted " + m.AbortedRevision
	}
	return text
}

func described(actions []Action) []string {
	var texts []string
	for _, action := range actions {
		texts = append(texts, describeAction(action))
	}
	return texts
}

func conditionOf(plan Plan, kind string) metav1.Condition {
	for _, condition := range plan.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return metav1.Condition{}
}

// eventsOf returns the Events of a plan and of its actions, in the order in which they are emitted.
func eventsOf(plan Plan) []Event {
	var all []Event
	for _, action := range plan.Actions {
		if event := EventOf(action); event.Reason != "" {
			all = append(all, event)
		}
	}
	return append(all, plan.Events...)
}
