// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestRouteReplaced checks that T4 never hangs. A route that was deleted and created again between two passes starts at
// generation 1. The record of the former one does not apply to it.
func TestRouteReplaced(t *testing.T) {
	in := changed(idle(), route(func(r *Route) { r.Generation, r.AcceptedGeneration = 1, 1 }))
	for range 3 {
		in.Prior = Compute(in).Status
		in.Now = in.Now.Add(time.Minute)
	}
	if got := Compute(in).Status; got.State != v1alpha1.StateHealthy {
		t.Errorf("%s: %s", got.State, got.Message)
	}
}

// TestTooCoarseForAll checks that T5's factor works for every step, not only for the last one.
func TestTooCoarseForAll(t *testing.T) {
	in := changed(idle(weight(50), weight(20)), template("b"), route(func(r *Route) { r.Total = 1 }))
	if got := conditionOf(Compute(in), v1alpha1.ConditionTrafficRouted).Message; !strings.HasSuffix(got, "by 10") {
		t.Errorf("want a factor of 10, which makes 50 %% and 20 %% of 1 whole: %s", got)
	}
}

// TestTooCoarseInMidCanary: somebody changes the total of a shared rule so that the weight in force is no longer a whole
// number. It cannot be written, and that must not block anything else: an abort is accepted, and 0 is always whole. A
// promotion uses only the weights 0 and 100, whatever the steps are edited to.
func TestTooCoarseInMidCanary(t *testing.T) {
	coarse := route(func(r *Route) { r.Total, r.Weight, r.Generation = 1, MixedWeight, 8 })
	unrecorded := memory(func(m *v1alpha1.Memory) { m.Traffic.Routes = nil })
	edited := func(in *Input) { in.Spec.Steps = []v1alpha1.Step{weight(25)} }
	to0 := []string{"SetTraffic reviews weight=0 headerRoutes=0"}
	for name, tc := range map[string]planCase{
		"held":         {in: changed(midway(20, weight(20)), coarse, unrecorded), targets: "Stepping 0: 20% a/b", stalled: v1alpha1.ReasonWeightNotRepresentable},
		"abort":        {in: changed(midway(20, weight(20)), coarse, unrecorded, aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"rolling back": {in: changed(rollingBack(0), coarse, unrecorded), targets: "RollingBack 0: 0% a/b", actions: to0, stalled: v1alpha1.ReasonNotStalled},
		"promoting":    {in: changed(promoting(100), route(func(r *Route) { r.Total = 1 }), edited), targets: "Promoting 0: 100% b/b", stalled: v1alpha1.ReasonNotStalled},
	} {
		t.Run(name, tc.check)
	}
	others := changed(midway(20, pause(0)), coarse, unrecorded)
	if got := Compute(others).Status.Message; !strings.Contains(got, "cannot carry 20 %") && !strings.Contains(conditionOf(Compute(others), v1alpha1.ConditionTrafficRouted).Message, "cannot carry 20 %") {
		t.Errorf("no message tells why the weight is not written: %s", got)
	}
}

// TestAbortOfReverted: the stable template applied again ends Healthy, never Aborted. An abort after that must not apply to
// the stable revision.
func TestAbortOfReverted(t *testing.T) {
	for name, in := range map[string]Input{
		"on the way back":  changed(rollingBack(50), template("a"), command("abort=true")),
		"in the same pass": changed(midway(50, pause(0)), template("a"), command("abort=true")),
	} {
		if got := Compute(in).Status.Memory; got.AbortedRevision == got.StableRevision {
			t.Errorf("%s: stable revision %s counts as aborted", name, got.AbortedRevision)
		}
	}
}

// TestAbortedAndSuperseded: an abort that comes with another template closes the entry of the release that it ends.
func TestAbortedAndSuperseded(t *testing.T) {
	in := changed(midway(50, pause(0)), template("c"), command("abort=true"))
	in.Prior.History = []v1alpha1.HistoryEntry{{Revision: "b", Outcome: v1alpha1.OutcomeInProgress}}
	for _, entry := range Compute(in).Status.History {
		if entry.Revision == "b" && (entry.Outcome == v1alpha1.OutcomeInProgress || entry.EndedAt == nil) {
			t.Errorf("revision b stays %s", entry.Outcome)
		}
	}
}

// TestAbortAfterSuperseded: a release has one entry in the history, also when its successor is aborted before it began.
func TestAbortAfterSuperseded(t *testing.T) {
	in := changed(rollingBack(50), template("c"), command("abort=true"))
	in.Prior.History = []v1alpha1.HistoryEntry{{Revision: "b", Outcome: v1alpha1.OutcomeSuperseded}}
	var got []string
	for _, entry := range Compute(in).Status.History {
		got = append(got, entry.Revision+" "+string(entry.Outcome))
	}
	if diff := cmp.Diff([]string{"c Aborted", "b Superseded"}, got); diff != "" {
		t.Errorf("history differs (-want +got):\n%s", diff)
	}
}

// TestPromoteUnderProblem: nothing is changed while a user has to fix something. Promoting a pause step must not raise a
// weight then.
func TestPromoteUnderProblem(t *testing.T) {
	in := changed(midway(0, pause(0), weight(25)), command("promote=true"))
	in.Observed.Stable.Problem = &Problem{v1alpha1.ReasonServiceConflict, "an older rollout manages it"}
	in.Prior = Compute(in).Status
	if got := Compute(in).Status.Memory.Traffic.Weight; got != 0 {
		t.Errorf("weight goes to %d while Service reviews-stable is not ours", got)
	}
}

// TestScaledToNothingInPromotion: T8 commits with all traffic back on the stable Service, also when spec.replicas went
// to 0 after that had moved.
func TestScaledToNothingInPromotion(t *testing.T) {
	none := func(in *Input) { in.Spec.Replicas = ptr.To[int32](0); pods("a", 0)(in); pods("b", 0)(in) }
	in := changed(promoting(100), stableAt("b"), none)
	if got := Compute(in).Status.Memory; got.StableRevision == "b" && got.Traffic.Weight != 0 {
		t.Errorf("revision b is committed with weight %d on the canary Service", got.Traffic.Weight)
	}
}

// TestNoWeightForNobody: T2 holds at 0 replicas too: no weight for a Service without an endpoint while the other has one.
func TestNoWeightForNobody(t *testing.T) {
	in := changed(promoting(0), func(in *Input) { in.Spec.Replicas = ptr.To[int32](0) }, alive("b", 0))
	if got := Compute(in).Status.Memory.Traffic.Weight; got != 0 {
		t.Errorf("the canary Service has no endpoint and gets %d %%", got)
	}
}

// TestMigrationDeleted: T9 holds for a deletion in the middle of a migration: the weight of the canary is verified to be
// back before the finalizer is removed.
func TestMigrationDeleted(t *testing.T) {
	in := changed(promoting(100), unowned, deleted(1))
	in.Prior = Compute(in).Status // back to weight 0: written to memory first
	in.Prior = Compute(in).Status
	for _, text := range described(Compute(in).Actions) {
		if text == "RemoveFinalizer" {
			t.Error("the finalizer is removed while the route still carries 100 % to the canary")
		}
	}
}

// TestDeletedLongAgo: a deletion writes what can be written before the finalizer is removed, even if no operator ran for
// longer than the timeout.
func TestDeletedLongAgo(t *testing.T) {
	in := changed(midway(50, pause(0)), deleted(600), route(func(r *Route) { r.Weight = 50 }))
	in.Prior = Compute(in).Status
	if got := described(Compute(in).Actions); len(got) == 0 || got[0] == "RemoveFinalizer" {
		t.Errorf("all that is done is %v", got)
	}
}

// TestStalledAtPause: restoring a selector (T1) stalls if that would leave no ready endpoint, even at a pause.
func TestStalledAtPause(t *testing.T) {
	in := changed(midway(20, pause(0)), func(in *Input) { in.Observed.Stable.Revision = "" }, stableEndpoints("b", 1), alive("a", 0))
	if got := conditionOf(Compute(in), v1alpha1.ConditionStalled); got.Reason != v1alpha1.ReasonStableUnavailable {
		t.Errorf("Stalled is %s (%s), though Service reviews-stable is left as somebody made it", got.Status, got.Reason)
	}
}

// TestStatusIsStored: a status that was written and read back is the one that the next pass makes (section 5: a write
// only when something but time has changed). The API server keeps seconds of metav1.Time.
func TestStatusIsStored(t *testing.T) {
	in := changed(midway(20, pause(time.Minute)), memory(func(m *v1alpha1.Memory) {
		m.TransitionedAt = &metav1.MicroTime{Time: ago(10).Add(123 * time.Microsecond)}
	}))
	stored := v1alpha1.CanaryRolloutStatus{}
	encoded, err := json.Marshal(Compute(in).Status)
	if err == nil {
		err = json.Unmarshal(encoded, &stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	in.Prior = stored
	if got := Compute(in).Status; !equality.Semantic.DeepEqual(stored, got) {
		t.Errorf("every pass in this pause writes the status: startedAt %s, stored %s", got.Pause.StartedAt.Format(time.RFC3339Nano), stored.Pause.StartedAt.Format(time.RFC3339Nano))
	}
}

// TestTornMemory: P9, no panic with any status: every one of these fields is optional in the schema.
func TestTornMemory(t *testing.T) {
	for name, in := range map[string]Input{
		"no transitionedAt": changed(midway(20, pause(time.Minute)), memory(func(m *v1alpha1.Memory) { m.TransitionedAt = nil })),
		"no carriedAt":      changed(midway(20, pause(0)), memory(func(m *v1alpha1.Memory) { m.Traffic.Routes[0].CarriedAt = nil })),
		"stepIndex below 0": changed(midway(20, pause(0)), memory(func(m *v1alpha1.Memory) { m.StepIndex = -1 })),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if why := recover(); why != nil {
					t.Errorf("panic: %v", why)
				}
			}()
			Compute(in)
		})
	}
}

// TestNoPauseWithoutReplicas: a release without pods is promoted at once. It used to be reported as paused at its first step,
// for one pass.
func TestNoPauseWithoutReplicas(t *testing.T) {
	got := Compute(changed(idle(pause(0), weight(20)), template("b"), func(in *Input) {
		in.Spec.Replicas = ptr.To[int32](0)
		in.Observed.ReplicaSets = []ReplicaSet{{Name: "reviews-a", Revision: "a", Current: true, Marks: Marks{Promotion: 1}}}
		in.Observed.Stable.Endpoints, in.Observed.Canary.Endpoints = nil, nil
	})).Status
	if got.Pause != nil || got.State != v1alpha1.StatePromoting {
		t.Errorf("%s, pause %+v, in phase %s", got.State, got.Pause, got.Memory.Phase)
	}
}
