// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// passes runs a number of passes in which nothing else happens.
func passes(in Input, count int, apart time.Duration) (Input, Plan) {
	var plan Plan
	for range count {
		plan = Compute(in)
		in.Prior, in.Now = plan.Status, in.Now.Add(apart)
	}
	return in, plan
}

// wantSaid checks what a plan says, and that it does not say something else.
func wantSaid(t *testing.T, plan Plan, want, not string) {
	t.Helper()
	if !strings.Contains(plan.Status.Message, want) || not != "" && strings.Contains(plan.Status.Message, not) {
		t.Errorf("%s says %q, want %q and not %q", plan.Status.State, plan.Status.Message, want, not)
	}
}

// TestLeavingServiceDelaysNoCure checks that the selector of a Service that left the spec is restored even while the stable
// revision has no ready pod, or replicas is 0. It used to wait for a pod that only the next release could bring.
func TestLeavingServiceDelaysNoCure(t *testing.T) {
	leaving := func(in *Input) {
		in.Prior.Memory.LeavingServices = []string{"old"}
		in.Observed.Leaving = []Service{{Name: "old", Found: true, Revision: "a"}}
	}
	for name, in := range map[string]Input{
		"a sick stable revision": changed(idle(weight(20)), leaving, alive("a", 0), template("b")),
		"no pods are wanted": changed(idle(weight(20)), leaving, pods("a", 0), template("b"), func(in *Input) {
			in.Spec.Replicas = ptr.To[int32](0)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			planCase{in: in, targets: "Idle 0: 0% a/a", actions: []string{`PointService old -> ""`}}.check(t)
		})
	}
}

// TestLeavingServiceIsNoAlarm checks that a healthy rollout is not Degraded while a Service that left the spec waits for a
// revision to drain.
func TestLeavingServiceIsNoAlarm(t *testing.T) {
	in := changed(idle(weight(20)), func(in *Input) {
		in.Spec.ScaleDownDelaySeconds = ptr.To[int32](7200)
		in.Prior.Memory.LeavingServices = []string{"old"}
		in.Observed.Leaving = []Service{{Name: "old", Found: true, Revision: "a"}}
		in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{Name: "reviews-b", Revision: "b", Desired: 4, Replicas: 4, Ready: 4, Available: 4, Current: true})
	})
	_, plan := passes(in, 15, time.Minute)
	wantSaid(t, plan, "Service old is no longer in spec.traffic", "no progress")
}

// TestRouteThatWasNeverWritten checks that a route that cannot be written is not kept in memory: once the user has removed it
// from the spec, nothing waits for it. For a route that was written before, the status tells why it is not handed back.
func TestRouteThatWasNeverWritten(t *testing.T) {
	ambiguous := &Problem{v1alpha1.ReasonBackendPairAmbiguous, "HTTPRoute partners names reviews-stable twice"}
	in := changed(idle(weight(20), pause(0)), func(in *Input) {
		second := in.Observed.Routes[0]
		second.Name, second.Weight, second.Problem = "partners", 0, ambiguous
		in.Observed.Routes = append(in.Observed.Routes, second)
	})
	in, plan := passes(in, 3, time.Minute)
	wantSaid(t, plan, ambiguous.Message, "")
	if routes := plan.Status.Memory.Routes; len(routes) != 1 {
		t.Fatalf("memory has the routes %v", routes)
	}
	in.Observed.Routes = in.Observed.Routes[:1] // the spec does not name it, and neither does memory
	_, plan = passes(in, 3, time.Minute)
	wantSaid(t, plan, "revision a serves all traffic", "partners")

	written := changed(idle(weight(20)), left(func(r *Route) { r.Weight, r.Problem = 50, ambiguous }))
	_, plan = passes(written, 5, time.Minute)
	wantSaid(t, plan, "no longer in spec.traffic, but still sends requests to the canary Service: "+ambiguous.Message, "")
}

// TestStallNamesTheCause checks the message when the stable Service serves nothing. It names the Service if the revision has
// ready pods, and promote=full only if that would be accepted.
func TestStallNamesTheCause(t *testing.T) {
	gone := func(in *Input) {
		in.Observed.Stable = Service{Name: "reviews-stable", Problem: &Problem{v1alpha1.ReasonServiceNotFound, "Service reviews-stable does not exist: create it"}}
	}
	empty := func(in *Input) { in.Observed.Stable.Endpoints = nil }
	drifted := func(in *Input) {
		in.Observed.Routes[0].Weight, in.Observed.Routes[0].Generation = 50, 8
		in.Prior.Memory.Traffic.Routes, in.Prior.Memory.Traffic.VerifiedAt = nil, nil
	}
	abort := func(changes ...change) Input {
		in, _ := passes(changed(changed(midway(50, weight(50), pause(0)), changes...), aborting), 1, time.Second)
		in.Commands = Commands{}
		return in
	}
	const offer = "promote=full"
	for name, tc := range map[string]struct {
		in        Input
		want, not string
	}{
		"no Service":           {abort(gone), "traffic stays where it is: Service reviews-stable does not exist: create it", offer},
		"no endpoints":         {abort(empty), "Service reviews-stable has no ready endpoint, so traffic stays where it is", offer},
		"no pods":              {abort(alive("a", 0)), "stable revision a has no ready pod, so traffic stays where it is; fix it, or promote revision b", ""},
		"no Service, idle":     {changed(idle(), gone, drifted), "Service reviews-stable does not exist: create it", offer},
		"no pods, spec.paused": {changed(abort(alive("a", 0)), func(in *Input) { in.Spec.Paused = true }), "stable revision a has no ready pod", offer},
		"no stable revision":   {changed(firstDeploy(), canaryAt("b"), drifted), "Service reviews-stable has no ready endpoint", "revision  has"},
	} {
		t.Run(name, func(t *testing.T) { wantSaid(t, Compute(tc.in), tc.want, tc.not) })
	}
}

// TestFinishedRevisionDies checks that a revision that the user promoted by force, and that does not serve, is superseded by
// its fix.
func TestFinishedRevisionDies(t *testing.T) {
	in := changed(promoting(50), alive("a", 0), template("c"), memory(func(m *v1alpha1.Memory) { m.ForcedRevision = "b" }))
	planCase{in: in, targets: "Promoting 0: 100% a/b"}.check(t)
	in = changed(promoting(50), alive("a", 0), alive("b", 0), template("c"), memory(func(m *v1alpha1.Memory) { m.ForcedRevision = "b" }))
	planCase{in: in, targets: "RollingBack 0: 0% a/b"}.check(t)
}

// TestFlightFromAnotherSelector checks that traffic leaves a canary Service that no longer selects any pods, whether its
// selector can be restored or not.
func TestFlightFromAnotherSelector(t *testing.T) {
	in := changed(midway(50, weight(50), pause(0)), func(in *Input) {
		in.Observed.Canary.Revision, in.Observed.Canary.Endpoints = "zzz", nil
		in.Prior.Memory.CanaryService.Selected = true
	})
	planCase{in: in, targets: "Stepping 0: 0% a/b", actions: []string{`PointService reviews-canary -> "b"`}}.check(t)
}

// TestPauseAfterClockJump checks that a clock that was ahead for one pass does not stop the clock of a pause for as long.
func TestPauseAfterClockJump(t *testing.T) {
	in := changed(midway(20, weight(20), pause(10*time.Second)), memory(func(m *v1alpha1.Memory) {
		m.StepIndex, m.TransitionedAt, m.PauseClockStoppedAt = 1, ago(5), ago(5)
	}))
	ahead := in
	ahead.Now = in.Now.Add(24 * time.Hour)
	in.Prior, in.Now = Compute(ahead).Status, in.Now.Add(time.Minute)
	_, plan := passes(in, 3, time.Minute)
	if plan.Status.Memory.Phase != v1alpha1.PhasePromoting {
		t.Errorf("%s: %s", plan.Status.State, plan.Status.Message)
	}
}

// TestRunningAbortedRevision checks that a revision that was aborted is not adopted as stable because nothing else runs.
func TestRunningAbortedRevision(t *testing.T) {
	in := changed(midway(0, weight(20)), func(in *Input) {
		in.Prior = v1alpha1.CanaryRolloutStatus{}
		in.Observed.Stable.Revision, in.Observed.Canary.Revision = "", ""
		in.Observed.ReplicaSets[1].Marks = Marks{AbortReason: "bad"}
	}, pods("a", 0))
	alone := in
	alone.Observed.ReplicaSets = in.Observed.ReplicaSets[1:]
	in.Observed.ReplicaSets[0].Marks = Marks{Promotion: 3}
	for want, in := range map[string]Input{
		"stable revision a has no ready pod, but revision b has":       in,
		"revision b is the only one running, and it was aborted (bad)": alone,
	} {
		plan := Compute(in)
		wantSaid(t, plan, want, "")
		if plan.Status.Memory != nil {
			t.Errorf("adopted: %s", targets(plan.Status.Memory))
		}
	}
}

// TestPromoteMeetsAnEdit checks that a promote that finds edited steps is ignored with an Event.
func TestPromoteMeetsAnEdit(t *testing.T) {
	in, _ := passes(changed(midway(20, pause(0)), command("promote=true")), 1, time.Second)
	got := Compute(changed(in, edited(weight(20), pause(0))))
	for _, event := range got.Events {
		if event.Reason == EventCommandIgnored && strings.Contains(event.Message, "the steps were edited") {
			return
		}
	}
	t.Errorf("events %v", got.Events)
}

// TestOthersComeToAFirstDeploy checks that a first deploy that was to move its Services at once becomes a migration if other
// pods serve by them before that is done.
func TestOthersComeToAFirstDeploy(t *testing.T) {
	in := changed(firstDeploy(), memory(func(m *v1alpha1.Memory) {
		m.StableService.Revision, m.CanaryService.Revision = "b", "b"
	}), func(in *Input) {
		in.Observed.Stable.Endpoints = []Endpoints{{Ready: 4, Total: 4}, {Revision: "b", Ready: 4, Total: 4}}
		in.Observed.Canary.Revision = "b"
		in.Observed.Canary.Endpoints = []Endpoints{{Revision: "b", Ready: 4, Total: 4}}
	})
	planCase{in: in, targets: "Promoting 0: 0% /b"}.check(t)
	_, plan := passes(in, 6, time.Minute)
	if plan.Status.Memory.Traffic.Weight != 100 {
		t.Errorf("%s: %s", targets(plan.Status.Memory), plan.Status.Message)
	}
}
