// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// deleted requests deletion a number of seconds ago.
func deleted(seconds int) change {
	return func(in *Input) { in.DeletedAt = ago(seconds).Time }
}

// forcedRelease has tried so many seconds to write what can be written.
func forcedRelease(seconds int) change {
	return memory(func(m *v1alpha1.Memory) { m.ForcedReleaseSince = ago(seconds) })
}

// drained has no pods but those of the stable revision, and both Services select them.
func drained(in *Input) {
	canaryAt("a")(in)
	pods("b", 0)(in)
	in.Prior.Memory.CurrentRevision, in.Prior.Memory.Phase = "a", v1alpha1.PhaseIdle
}

var handedBack = []string{`PointService reviews-stable -> ""`, `PointService reviews-canary -> ""`, "RemoveFinalizer"}

// TestDeletion checks the edge rules of deletion: rollback to stable by T9, the others scaled to zero, the hash removed from
// the selectors, then the finalizer; and when it does not wait for that.
func TestDeletion(t *testing.T) {
	terminating := func(in *Input) { in.Observed.NamespaceTerminating = true }
	noPods := func(in *Input) { pods("a", 0)(in); pods("b", 0)(in) }
	draining := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.Draining = []v1alpha1.DrainMemory{{Revision: "b", Since: ago(seconds)}} })
	}
	foreign := func(in *Input) { in.Observed.Canary.Problem = &Problem{v1alpha1.ReasonServiceConflict, "older"} }
	unmarked := func(in *Input) { in.Observed.Stable.Revision = "" }
	back := "SetTraffic reviews weight=0 headerRoutes=0"
	scale := "ScaleReplicaSet reviews-b replicas=0"
	both := func(in *Input) { in.Observed.Canary.Revision = "a"; canaryEndpoints("a", 4)(in) }
	alone := func(in *Input) { alive("a", 0)(in); deleted(60)(in); forcedRelease(0)(in) }
	carrying := route(func(r *Route) { r.Weight = 50 })
	mirroring := route(func(r *Route) { r.Mirror = 10 })
	missing := route(func(r *Route) { r.Found, r.Problem = false, &Problem{v1alpha1.ReasonRouteNotFound, "missing"} })
	bare := func(in *Input) {
		in.Observed.Stable, in.Observed.Canary = Service{Name: "reviews-stable"}, Service{Name: "reviews-canary"}
	}
	for name, tc := range map[string]struct {
		in       Input
		targets  string
		actions  []string
		released bool // an event says so
	}{
		"mid-canary":          {in: midway(50, pause(0)), targets: "RollingBack 0: 0% a/b"},
		"promoting":           {in: promoting(100), targets: "RollingBack 0: 0% a/b"},
		"promoting, moved":    {in: changed(promoting(0), stableAt("b")), targets: "RollingBack 0: 100% b/b"},
		"returning, settling": {in: changed(rollingBack(0), verified(4)), targets: "RollingBack 0: 0% a/b"},
		"returning, settled":  {in: changed(rollingBack(0), verified(5)), targets: "RollingBack 0: 0% a/a"},
		"other pods left":     {in: changed(rollingBack(0), drained, pods("b", 1)), targets: "Idle 0: 0% a/a"},
		"other pods drained":  {in: changed(rollingBack(0), drained, pods("b", 1), draining(35)), targets: "Idle 0: 0% a/a", actions: []string{scale}},
		"not settled":         {in: changed(rollingBack(0), drained, verified(4)), targets: "Idle 0: 0% a/a"},
		"handed back":         {in: changed(rollingBack(0), drained), targets: "Idle 0: 0% a/a", actions: handedBack, released: true},
		"a foreign Service":   {in: changed(rollingBack(0), drained, foreign), targets: "Idle 0: 0% a/a", actions: []string{handedBack[0], handedBack[2]}, released: true},
		"hand edit idle":      {in: changed(rollingBack(0), drained, unmarked), targets: "Idle 0: 0% a/a", actions: []string{`PointService reviews-stable -> "a"`}},
		"first deploy":        {in: firstDeploy(), targets: "Promoting 0: 0% /", actions: handedBack[2:]},
		"first deploy, moved": {in: changed(firstDeploy(), stableAt("b"), canaryAt("b")), targets: "Promoting 0: 0% b/b", actions: handedBack},
		"nothing touched":     {in: changed(firstDeploy(), func(in *Input) { in.Prior.Memory = nil }), actions: handedBack[2:]},
		"no finalizer":        {in: changed(midway(50, pause(0)), func(in *Input) { in.HasFinalizer = false }), targets: "Stepping 0: 50% a/b"},
		"no pods":             {in: changed(midway(50, pause(0)), noPods, forcedRelease(0)), targets: "Stepping 0: 50% a/b", actions: append([]string{back}, handedBack...), released: true},
		"a missing route":     {in: changed(rollingBack(0), drained, missing), targets: "Idle 0: 0% a/a", actions: handedBack, released: true},
		"no objects":          {in: changed(rollingBack(0), drained, bare), targets: "Idle 0: 0% a/a", actions: handedBack[2:], released: true},
		"namespace": {in: changed(midway(50, pause(0)), terminating, forcedRelease(0)), targets: "Stepping 0: 50% a/b",
			actions: append([]string{back}, handedBack...), released: true},
		"59 s":                {in: changed(rollingBack(0), unverified, deleted(59)), targets: "RollingBack 0: 0% a/b"},
		"60 s, memory first":  {in: changed(rollingBack(0), unverified, deleted(60), carrying), targets: "RollingBack 0: 0% a/b"},
		"60 s, traffic first": {in: changed(rollingBack(0), unverified, deleted(60), carrying, forcedRelease(0)), targets: "RollingBack 0: 0% a/b", actions: []string{back}},
		"60 s, mirror first":  {in: changed(rollingBack(0), unverified, deleted(60), mirroring, forcedRelease(0)), targets: "RollingBack 0: 0% a/b", actions: []string{back}},
		"60 s, then Services": {in: changed(rollingBack(0), unverified, deleted(60), forcedRelease(0)), targets: "RollingBack 0: 0% a/a", actions: []string{`PointService reviews-canary -> "a"`}},
		"60 s, then pods":     {in: changed(rollingBack(0), unverified, deleted(60), forcedRelease(0), both), targets: "RollingBack 0: 0% a/a", actions: []string{scale}},
		"60 s, no other pods": {in: changed(rollingBack(0), unverified, deleted(60), forcedRelease(0), pods("b", 0)), targets: "RollingBack 0: 0% a/b", actions: handedBack, released: true},
		"60 s, nobody else":   {in: changed(rollingBack(50), alone), targets: "RollingBack 0: 50% a/b"},
		"60 s, sick stable":   {in: changed(rollingBack(0), alone, stableEndpoints("", 1)), targets: "RollingBack 0: 0% a/b"},
		"60 s, first deploy": {in: changed(firstDeploy(), stableAt("b"), canaryAt("b"), deleted(60), forcedRelease(0)), targets: "Promoting 0: 0% b/b",
			actions: handedBack, released: true},
		"90 s": {in: changed(rollingBack(0), unverified, deleted(90), forcedRelease(30)), targets: "RollingBack 0: 0% a/b", actions: handedBack[2:], released: true},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.in.DeletedAt.IsZero() {
				deleted(1)(&tc.in)
			}
			planCase{in: tc.in, targets: tc.targets, actions: tc.actions}.check(t)
			released := false
			for _, event := range Compute(tc.in).Events {
				released = released || event.Reason == EventTerminated
			}
			if released != tc.released {
				t.Errorf("says that it is released: %t, want %t", released, tc.released)
			}
		})
	}
}

// TestDeletionWakes checks that a deletion is reconciled again when its timeout ends.
func TestDeletionWakes(t *testing.T) {
	for name, tc := range map[string]planCase{
		"patience":      {in: changed(rollingBack(0), unverified, deleted(50)), targets: "RollingBack 0: 0% a/b", wake: 10 * time.Second},
		"last attempts": {in: changed(rollingBack(0), unverified, deleted(70), forcedRelease(10), pods("b", 1)), targets: "RollingBack 0: 0% a/a", wake: 20 * time.Second, actions: []string{`PointService reviews-canary -> "a"`}},
		"memory first":  {in: changed(rollingBack(0), unverified, deleted(70)), targets: "RollingBack 0: 0% a/b", wake: 30 * time.Second},
	} {
		t.Run(name, tc.check)
	}
}

// TestDeletionCreatesNothing checks that nothing is adopted or created once deletion has begun, that commands are ignored, and
// that the last status is the one from before.
func TestDeletionCreatesNothing(t *testing.T) {
	in := changed(midway(50, pause(0)), deleted(1), command("promote=full"))
	in.Observed.ReplicaSets = in.Observed.ReplicaSets[:1]
	in.Observed.Orphans = []Orphan{{Name: "old", Revision: "z", Equal: true, Ready: 3}}
	planCase{in: in, targets: "RollingBack 0: 0% a/b"}.check(t)
	if got := Compute(in).Status; got.State != v1alpha1.StateTerminating {
		t.Errorf("state %s", got.State)
	}
	gone := changed(rollingBack(0), drained, deleted(1))
	if diff := cmp.Diff(gone.Prior, Compute(gone).Status); diff != "" {
		t.Errorf("a rollout that goes gets another status (-want +got):\n%s", diff)
	}
}
