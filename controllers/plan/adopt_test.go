// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// restored is a rollout whose status was lost: a was stable with 4 pods, b was its canary with 1, and is in spec.
func restored(changes ...change) Input {
	return changed(midway(20, weight(20), pause(0)), append([]change{func(in *Input) {
		in.Prior = v1alpha1.CanaryRolloutStatus{}
	}}, changes...)...)
}

// orphaned removes the owners from the ReplicaSets, as a backup does.
func orphaned(in *Input) {
	for _, rs := range in.Observed.ReplicaSets {
		in.Observed.Orphans = append(in.Observed.Orphans, Orphan{
			Name: rs.Name, Revision: rs.Revision, Equal: rs.Revision == "b", Desired: rs.Desired, Ready: rs.Ready, Marks: rs.Marks,
		})
	}
	in.Observed.ReplicaSets = nil
}

func marked(revision string, marks Marks) change {
	return set(revision, func(rs *ReplicaSet) { rs.Marks = marks })
}

func serviceAt(revision string) change {
	return func(in *Input) { in.Observed.Stable.Revision = revision }
}

// TestRestore checks which revision becomes stable when the status was lost: never one that was not verified, even if it is
// the first to have a pod. A backup holds the ReplicaSets with their annotations, and the Services. It has neither status
// nor owners, and is restored one object after the other. An aborted revision stays aborted.
func TestRestore(t *testing.T) {
	dead := func(in *Input) { alive("a", 0)(in); alive("b", 0)(in) }
	wasStable, wasAborted := Marks{Promotion: 3}, Marks{AbortReason: "slow"}
	unmarked := func(in *Input) { marked("a", Marks{})(in); marked("b", Marks{})(in) }
	scaledDown := func(revision string) change { return pods(revision, 0) }
	without := func(revision string) change {
		return func(in *Input) {
			kept := in.Observed.ReplicaSets[:0:0]
			for _, rs := range in.Observed.ReplicaSets {
				if rs.Revision != revision {
					kept = append(kept, rs)
				}
			}
			in.Observed.ReplicaSets = kept
		}
	}
	noService := func(in *Input) {
		in.Observed.Stable = Service{Name: "reviews-stable", Problem: &Problem{Reason: v1alpha1.ReasonServiceNotFound, Message: "x"}}
	}
	for name, tc := range map[string]struct {
		in      Input
		want    string // stable and aborted revision, or why nothing is done
		aborted string
	}{
		"no pod is ready":                {restored(dead), "a", ""},
		"no pod, no marks":               {restored(dead, unmarked), "a", ""},
		"no pod, the Service lost a":     {restored(dead, marked("a", wasStable), serviceAt("")), "a", ""},
		"orphans":                        {restored(dead, orphaned), "a", ""},
		"the canary is ready first":      {restored(alive("a", 0)), "stable revision a has no ready pod, but revision b has", ""},
		"first, the Service lost a":      {restored(alive("a", 0), marked("a", wasStable), serviceAt("")), "stable revision a has no ready pod, but revision b has", ""},
		"only the status was removed":    {restored(), "a", ""},
		"removed after the commit":       {restored(marked("a", wasStable), serviceAt("b")), "b", ""},
		"removed on the way back":        {restored(marked("a", wasStable), marked("b", wasAborted), serviceAt("b")), "a", "slow"},
		"aborted":                        {restored(marked("b", wasAborted)), "a", "slow"},
		"aborted, no pod is ready":       {restored(dead, marked("b", wasAborted), orphaned), "a", "slow"},
		"aborted, scaled down":           {restored(dead, scaledDown("b"), marked("b", wasAborted), orphaned), "a", "slow"},
		"no replicas, aborted":           {restored(scaledDown("a"), scaledDown("b"), marked("a", wasStable), marked("b", wasAborted), serviceAt("")), "a", "slow"},
		"the later promotion":            {restored(dead, marked("a", wasStable), marked("b", Marks{Promotion: 4}), serviceAt("")), "b", ""},
		"stable before, without pods":    {restored(scaledDown("a"), marked("a", wasStable), serviceAt("")), "b", ""},
		"stable is not there yet":        {restored(dead, without("a")), "Service reviews-stable selects revision a, which has no ReplicaSet", ""},
		"the Service is not there yet":   {restored(dead, unmarked, noService), "2 revisions are running, and Service reviews-stable", ""},
		"not there yet, but it is clear": {restored(dead, marked("a", wasStable), noService), "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in)
			mem := got.Status.Memory
			if mem == nil {
				if !strings.HasPrefix(got.Status.Message, tc.want) || len(got.Actions) > 0 {
					t.Errorf("nothing is decided: %s, with %v; want %s", got.Status.Message, described(got.Actions), tc.want)
				}
				return
			}
			if diff := cmp.Diff([]string{tc.want, tc.aborted}, []string{mem.StableRevision, mem.AbortReason}); diff != "" {
				t.Errorf("stable and the abort differ (-want +got):\n%s", diff)
			}
			in := tc.in
			in.Prior = got.Status
			next := Compute(in).Status.Memory
			if starts := next.Phase == v1alpha1.PhaseStepping; starts != (tc.aborted == "" && tc.want != "b" && in.Observed.Stable.Found) {
				t.Errorf("then the steps run: %t", starts)
			}
		})
	}
}

// TestMarks checks that the ReplicaSets record the stable and the aborted revision with one write per release, and that an
// idle rollout writes nothing.
func TestMarks(t *testing.T) {
	mark := func(revision string, promotion int, aborted string) []string {
		return described([]Action{MarkReplicaSet{Name: "reviews-" + revision, Marks: Marks{Promotion: int64(promotion), AbortReason: aborted}}})
	}
	promoted := func(changes ...change) Input {
		return changed(changed(promoting(0), phase(v1alpha1.PhaseIdle), stableAt("b"), func(in *Input) {
			in.Prior.Memory.StableRevision = "b"
		}), changes...)
	}
	for name, tc := range map[string]struct {
		in   Input
		want []string
	}{
		"idle":                   {idle(), nil},
		"in mid-canary":          {midway(20, pause(0)), nil},
		"the first one":          {changed(idle(), marked("a", Marks{})), mark("a", 1, "")},
		"promoted":               {promoted(), mark("b", 2, "")},
		"promoted and known":     {promoted(marked("b", Marks{Promotion: 2})), nil},
		"promoted after a retry": {promoted(marked("b", Marks{AbortReason: "slow"})), mark("b", 2, "")},
		"promoted again":         {promoted(marked("a", Marks{Promotion: 5}), marked("b", Marks{Promotion: 4})), mark("b", 6, "")},
		"aborted":                {changed(rollingBack(0), aborted("b"), marked("b", Marks{})), mark("b", 0, "by hand")},
		"aborted and known":      {changed(rollingBack(0), aborted("b")), nil},
		"retried":                {changed(midway(20, pause(0)), marked("b", Marks{AbortReason: "slow"})), mark("b", 0, "")},
		"deleted":                {changed(idle(), marked("a", Marks{}), func(in *Input) { in.DeletedAt = in.Now }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, action := range Compute(tc.in).Actions {
				if _, is := action.(MarkReplicaSet); is {
					got = append(got, describeAction(action))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("marks differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShared checks that an adoption does not remove the ready pods of another workload from a Service, unless that is
// intended: the Service stays as it is, and the reason names them. No release starts meanwhile. A selector that somebody
// widened later is restored all the same.
func TestShared(t *testing.T) {
	shared := func(in *Input) {
		in.Observed.Stable.Revision = ""
		in.Prior.Memory.StableService.ReadyAt, in.Prior.Memory.StableService.Narrowed = nil, false
		in.Observed.Stable.Endpoints = []Endpoints{{Revision: "", Ready: 4, Total: 4}, {Revision: "a", Ready: 4, Total: 4}}
		in.Observed.Stable.Others = []string{"other-1", "other-2", "other-3", "other-4"}
	}
	meant := func(in *Input) { in.Spec.Traffic.OtherEndpoints = v1alpha1.OtherEndpointsRemove }
	narrow := []string{`PointService reviews-stable -> "a"`}
	for name, tc := range map[string]planCase{
		"adopted":           {in: changed(idle(), shared), targets: "Idle 0: 0% a/a", stalled: v1alpha1.ReasonServiceShared},
		"new template":      {in: changed(idle(), shared, template("b")), targets: "Idle 0: 0% a/a", stalled: v1alpha1.ReasonServiceShared},
		"it is meant":       {in: changed(idle(), shared, meant), targets: "Idle 0: 0% a/a", actions: narrow, stalled: v1alpha1.ReasonNotStalled},
		"with another hash": {in: changed(idle(), shared, func(in *Input) { in.Observed.Stable.Revision = "zzz" }), targets: "Idle 0: 0% a/a", stalled: v1alpha1.ReasonServiceShared},
		"deleted":           {in: changed(idle(), shared, deleted(0)), targets: "Idle 0: 0% a/a", actions: []string{`PointService reviews-canary -> ""`, "RemoveFinalizer"}},
		"in a release":      {in: changed(midway(20, weight(20), pause(0)), shared), targets: "Stepping 0: 20% a/b", stalled: v1alpha1.ReasonServiceShared},
		"widened later":     {in: changed(idle(), shared, memory(func(m *v1alpha1.Memory) { m.StableService.Narrowed = true })), targets: "Idle 0: 0% a/a", actions: narrow, stalled: v1alpha1.ReasonNotStalled},
		"nobody else":       {in: changed(idle(), shared, func(in *Input) { in.Observed.Stable.Others = nil }), targets: "Idle 0: 0% a/a", actions: narrow},
	} {
		t.Run(name, tc.check)
	}
	got := Compute(changed(idle(), shared))
	if want := "Service reviews-stable would lose 4 ready endpoints of other workloads (other-1, other-2, other-3, ...)"; !strings.HasPrefix(got.Status.Message, want) {
		t.Errorf("the message is %q, want %q", got.Status.Message, want)
	}
}
