// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const pointCanaryToB = `PointService reviews-canary -> "b"`

// waitingToMove has b's pods up, while the canary Service still selects a.
func waitingToMove(in *Input) {
	pods("b", 2)(in)
	canaryAt("a")(in)
}

// TestServiceMoves checks T1: a Service moves only while it carries nothing, verified and settled; a selector that
// somebody else changed is restored at once, unless that would leave no ready endpoint where there is one. Argo Rollouts
// moves Services and weight in one pass, and data planes learn of that in any order: requests found no pod
// (argo-rollouts#4710, #4433, #587), the former version got all of them again for half a minute (#1826), and pods that
// were no longer selected by any Service got some (#4195).
func TestServiceMoves(t *testing.T) {
	selects := func(service func(*Input) *Service, revision string) change {
		return func(in *Input) { service(in).Revision = revision }
	}
	stable, canary := func(in *Input) *Service { return &in.Observed.Stable }, func(in *Input) *Service { return &in.Observed.Canary }
	half, wait := weight(50), time.Second
	for name, tc := range map[string]planCase{
		"canary forward, settling":     {in: changed(midway(0, half), waitingToMove, verified(4)), targets: "Stepping 0: 0% a/a", wake: wait},
		"canary forward, settled":      {in: changed(midway(0, half), waitingToMove, verified(5)), targets: "Stepping 0: 0% a/b"},
		"canary forward, not verified": {in: changed(midway(0, half), waitingToMove, unverified), targets: "Stepping 0: 0% a/a"},
		"canary forward under weight":  {in: changed(midway(10, half), waitingToMove, canaryEndpoints("b", 2)), targets: "Stepping 0: 10% a/a"},
		"canary forward under headers": {in: changed(midway(0, half), waitingToMove, canaryEndpoints("b", 2), headers(true)), targets: "Stepping 0: 0% a/a +headers"},
		"canary forward without pods":  {in: changed(midway(0, half), waitingToMove, pods("b", 2), alive("b", 1)), targets: "Stepping 0: 0% a/a"},
		"stable forward, settling":     {in: changed(promoting(100), verified(4)), targets: "Promoting 0: 100% a/b", wake: wait},
		"stable forward, settled":      {in: changed(promoting(100), verified(5)), targets: "Promoting 0: 100% b/b"},
		"stable forward, not verified": {in: changed(promoting(100), unverified), targets: "Promoting 0: 100% a/b"},
		"canary back, settling":        {in: changed(rollingBack(0), verified(4)), targets: "RollingBack 0: 0% a/b", wake: wait},
		"canary back, settled":         {in: changed(rollingBack(0), verified(5)), targets: "RollingBack 0: 0% a/a"},
		"canary back, not verified":    {in: changed(rollingBack(0), unverified), targets: "RollingBack 0: 0% a/b"},
		"repair": {
			in: changed(midway(50, half), selects(canary, "")), targets: "Stepping 1: 50% a/b", actions: []string{pointCanaryToB},
		},
		"repair that would leave nothing": {
			in:      changed(midway(50, half), selects(stable, ""), stableEndpoints("b", 2), alive("a", 0)),
			targets: "Stepping 1: 50% a/b", stalled: v1alpha1.ReasonStableUnavailable,
		},
		"repair where nothing can be lost": {
			in:      changed(midway(50, half), selects(stable, ""), stableEndpoints("", 0), alive("a", 0)),
			targets: "Stepping 1: 50% a/b", actions: []string{`PointService reviews-stable -> "a"`},
		},
		"no repair of what has a problem": {
			in: changed(midway(50, half), selects(canary, ""), func(in *Input) {
				in.Observed.Canary.Problem = &Problem{v1alpha1.ReasonServiceConflict, "older"}
			}), targets: "Stepping 0: 50% a/b", stalled: v1alpha1.ReasonServiceConflict,
		},
		"no repair of what is missing": {
			in: changed(midway(50, half), func(in *Input) {
				in.Observed.Canary = Service{Name: "reviews-canary", Problem: &Problem{v1alpha1.ReasonServiceNotFound, "missing"}}
				in.Observed.Stable.Endpoints = nil
			}), targets: "Stepping 0: 50% a/b", stalled: v1alpha1.ReasonNotStalled,
		},
	} {
		t.Run(name, tc.check)
	}
}

// TestReadinessGates checks that the canary Service moves to pods that are not ready when they can only become so as
// endpoints: a load balancer opens the gates of its targets, Argo Rollouts waited for the pods, and both waited forever
// (argo-rollouts#1151). It carries nothing then (T1), and gets no weight before they are ready (T2).
func TestReadinessGates(t *testing.T) {
	half := weight(50)
	closed := func(in *Input) {
		set("b", func(rs *ReplicaSet) { rs.Desired, rs.Replicas, rs.Ready, rs.Available = 2, 2, 0, 0 })(in)
	}
	gated := func(in *Input) { closed(in); set("b", func(rs *ReplicaSet) { rs.Gated = true })(in) }
	waits := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(seconds) })
	}
	moving := memory(func(m *v1alpha1.Memory) { m.CanaryService = v1alpha1.ServiceMemory{Revision: "b"} })
	in := func(changes ...change) Input {
		return changed(midway(0, half), append([]change{waitingToMove}, changes...)...)
	}
	for name, tc := range map[string]planCase{
		"gates in the template":    {in: in(gated), targets: "Stepping 0: 0% a/b"},
		"settling":                 {in: in(gated, verified(4)), targets: "Stepping 0: 0% a/a", wake: time.Second},
		"no pods yet":              {in: in(gated, set("b", func(rs *ReplicaSet) { rs.Replicas = 1 })), targets: "Stepping 0: 0% a/a"},
		"no gates":                 {in: in(closed, waits(1799)), targets: "Stepping 0: 0% a/a", wake: time.Second},
		"no gates, half the time":  {in: in(closed, waits(1800)), targets: "Stepping 0: 0% a/b"},
		"the Service follows":      {in: in(gated, moving), targets: "Stepping 0: 0% a/b", actions: []string{pointCanaryToB}},
		"no weight before ready":   {in: changed(midway(0, half), gated, moving, canaryEndpoints("b", 0)), targets: "Stepping 0: 0% a/b"},
		"a repair is no such move": {in: in(gated, memory(func(m *v1alpha1.Memory) { m.CanaryService.Revision = "b" })), targets: "Stepping 0: 0% a/b", stalled: v1alpha1.ReasonStableUnavailable},
	} {
		t.Run(name, tc.check)
	}
}

// TestWeightRises checks T2: weight rises with ready endpoints of that revision, settled after a move; it falls at once.
// Argo Rollouts gave all traffic to one ready pod when it skipped the steps (argo-rollouts#3941). It asks for stable's
// health in forward steps, too: the release that would fix stable did not progress (argo-rollouts#1774, #1377,
// #995, #3110, #1416), or left out a header route (argo-rollouts#4561).
func TestWeightRises(t *testing.T) {
	readyAt := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.CanaryService.ReadyAt = ago(seconds) })
	}
	justMoved := memory(func(m *v1alpha1.Memory) { m.CanaryService.ReadyAt = nil })
	scale := func(mode v1alpha1.ScaleMode, replicas int32) change {
		return memory(func(m *v1alpha1.Memory) {
			m.StepTargets.Scale = &v1alpha1.SetCanaryScale{Replicas: &replicas, Mode: mode}
		})
	}
	half := func(changes ...change) Input {
		return changed(midway(10, weight(50)), append([]change{pods("b", 2)}, changes...)...)
	}
	stale := set("b", func(rs *ReplicaSet) { rs.Current = false })
	for name, tc := range map[string]planCase{
		"enough endpoints":        {in: half(), targets: "Stepping 0: 50% a/b"},
		"one too few":             {in: half(canaryEndpoints("b", 1)), targets: "Stepping 0: 10% a/b"},
		"of another revision":     {in: half(canaryEndpoints("a", 4), set("a", func(*ReplicaSet) {})), targets: "Stepping 0: 0% a/b"},
		"status of an older size": {in: half(stale), targets: "Stepping 0: 10% a/b"},
		"settling after a move":   {in: half(readyAt(4)), targets: "Stepping 0: 10% a/b", wake: time.Second},
		"settled after a move":    {in: half(readyAt(5)), targets: "Stepping 0: 50% a/b"},
		"ready a moment ago":      {in: half(justMoved), targets: "Stepping 0: 10% a/b", wake: 5 * time.Second},
		"pinned to less":          {in: half(scale("Exact", 1), pods("b", 1)), targets: "Stepping 0: 50% a/b"},
		"pinned to more":          {in: half(scale("Exact", 3), pods("b", 3), alive("b", 2)), targets: "Stepping 0: 10% a/b"},
		"a minimum is not a pin":  {in: half(scale("Minimum", 1), alive("b", 1)), targets: "Stepping 0: 10% a/b"},
		"down with one pod":       {in: changed(midway(50, weight(10)), alive("b", 1)), targets: "Stepping 0: 10% a/b"},
		"headers wait for a pod":  {in: changed(midway(0, headerStep()), headers(false), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"headers with a pod":      {in: changed(midway(0, headerStep()), headers(false)), targets: "Stepping 0: 0% a/b +headers"},
		"headers, sick stable":    {in: changed(midway(0, headerStep()), headers(false), alive("a", 0)), targets: "Stepping 0: 0% a/b +headers"},
		"pods without the port": {
			in: half(func(in *Input) {
				in.Observed.Canary.Endpoints = []Endpoints{{Revision: "b", Total: 2, LacksPort: "port 80 leads nowhere"}}
				in.Prior.Memory.Traffic.Weight = 0
			}), targets: "Stepping 0: 0% a/b", stalled: v1alpha1.ReasonServicePortNotServed,
		},
		"sick stable is no matter": {in: half(alive("a", 0)), targets: "Stepping 0: 50% a/b"},
	} {
		t.Run(name, tc.check)
	}
}

// TestOldEndpoints checks T2's other half: a moved Service is ready when no endpoint of another revision is left.
func TestOldEndpoints(t *testing.T) {
	for name, tc := range map[string]struct {
		endpoints []Endpoints
		want      bool
	}{
		"old ones left":   {[]Endpoints{{Revision: "a", Ready: 1, Total: 1}, {Revision: "b", Ready: 2, Total: 2}}, false},
		"old ones ending": {[]Endpoints{{Revision: "a", Ready: 0, Total: 1}, {Revision: "b", Ready: 2, Total: 2}}, true},
		"not all yet":     {[]Endpoints{{Revision: "b", Ready: 1, Total: 2}}, false},
		"foreign ones":    {[]Endpoints{{Revision: "", Ready: 3, Total: 3}, {Revision: "b", Ready: 2, Total: 2}}, true},
		"none":            {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(midway(0, weight(50)), pods("b", 2), memory(func(m *v1alpha1.Memory) { m.CanaryService.ReadyAt = nil }))
			in.Observed.Canary.Endpoints = tc.endpoints
			if got := Compute(in).Status.Memory.CanaryService.ReadyAt != nil; got != tc.want {
				t.Errorf("ready: %t, want %t", got, tc.want)
			}
		})
	}
}

// TestWarmPods checks T3 for a revision that returns as the canary while its pods are kept: they may still handle earlier
// requests, so it is scaled down to what the steps ask for only when they may be deleted.
func TestWarmPods(t *testing.T) {
	drains := func(since *metav1.MicroTime) change {
		return memory(func(m *v1alpha1.Memory) { m.Draining = []v1alpha1.DrainMemory{{Revision: "b", Since: since}} })
	}
	back := func(changes ...change) Input {
		scaled := memory(func(m *v1alpha1.Memory) { m.StepTargets.Scale = canaryScale(1).SetCanaryScale.DeepCopy() })
		return changed(midway(0, canaryScale(1)), append([]change{pods("b", 4), scaled}, changes...)...)
	}
	exact := memory(func(m *v1alpha1.Memory) { m.StepTargets.Scale.Mode = v1alpha1.ScaleModeExact })
	shrink := []string{"ScaleReplicaSet reviews-b replicas=1"}
	for name, tc := range map[string]struct {
		in      Input
		actions []string
		since   *metav1.MicroTime
	}{
		"kept":              {in: back(drains(ago(34))), since: ago(34)},
		"kept though exact": {in: back(drains(ago(34)), exact), since: ago(34)},
		"time has come":     {in: back(drains(ago(35))), actions: shrink},
		"still reachable":   {in: back(drains(nil)), since: ago(0)},
		"never drained":     {in: back(drains(nil), func(in *Input) { in.Prior.Memory.Draining[0].Revision = "c" }), actions: shrink},
		"aborted again":     {in: back(drains(ago(1)), aborting)},
		"promoted":          {in: back(drains(ago(1)), phase(v1alpha1.PhasePromoting))},
	} {
		t.Run(name, func(t *testing.T) {
			got := ComputeMove(tc.in)
			if diff := cmp.Diff(tc.actions, described(got.Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			var since *metav1.MicroTime
			for _, drain := range got.Status.Memory.Draining {
				since = drain.Since
			}
			if !since.Equal(tc.since) {
				t.Errorf("drains since %v, want %v", since, tc.since)
			}
			if tc.since != nil && !got.WakeAt.Equal(tc.since.Add(35*time.Second)) {
				t.Errorf("wakes at %s", got.WakeAt)
			}
		})
	}
}

// TestDraining checks T3: the pods of a revision that carried traffic are deleted when no requests can reach it, settled,
// and the delay has passed. Argo Rollouts deleted all pods of the revision that its stable Service still selected
// (argo-rollouts#2235, #2050).
func TestDraining(t *testing.T) {
	since := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.Draining = []v1alpha1.DrainMemory{{Revision: "b", Since: ago(seconds)}} })
	}
	gone := []string{"ScaleReplicaSet reviews-b replicas=0"}
	for name, tc := range map[string]struct {
		change  change
		since   int // seconds ago in the new memory; -1 while it can be reached
		actions []string
	}{
		"first seen":             {change: func(*Input) {}, since: 0},
		"delay not over":         {change: since(34), since: 34},
		"delay over":             {change: since(35), since: 35, actions: gone},
		"an endpoint is left":    {change: func(in *Input) { since(35)(in); leaveEndpoints(in, Endpoints{Revision: "b", Ready: 0, Total: 1}) }, since: -1},
		"the Service selects it": {change: func(in *Input) { since(35)(in); in.Observed.Canary.Revision = "b" }, since: -1},
		"then it is repaired": {change: func(in *Input) {
			in.Prior.Memory.Draining = []v1alpha1.DrainMemory{{Revision: "b"}}
			in.Observed.Canary.Revision = "b"
		}, since: -1, actions: []string{`PointService reviews-canary -> "a"`}},
		"a Service selects all":   {change: func(in *Input) { since(35)(in); in.Observed.Canary.Revision = "" }, since: -1},
		"memory wants it":         {change: func(in *Input) { since(35)(in); in.Prior.Memory.CanaryService.Revision = "b" }, since: -1, actions: []string{pointCanaryToB}},
		"somebody else's entry":   {change: func(in *Input) { since(35)(in); in.Prior.Memory.Draining[0].Revision = "c" }, since: 0},
		"delay over, new release": {change: func(in *Input) { since(35)(in); template("c")(in) }, since: 35, actions: gone},
	} {
		t.Run(name, func(t *testing.T) {
			in := idle()
			in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{
				Name: "reviews-b", Revision: "b", Desired: 2, Replicas: 2, Ready: 2, Available: 2, Current: true,
			})
			tc.change(&in)
			got := Compute(in)
			if diff := cmp.Diff(tc.actions, described(got.Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			want := v1alpha1.DrainMemory{Revision: "b"}
			if tc.since >= 0 {
				want.Since = ago(tc.since)
			}
			if diff := cmp.Diff([]v1alpha1.DrainMemory{want}, got.Status.Memory.Draining); diff != "" {
				t.Errorf("draining differs (-want +got):\n%s", diff)
			}
			if end := want.Since; end != nil && tc.since < 35 && !got.WakeAt.Equal(end.Add(35*time.Second)) {
				t.Errorf("wakes at %s, want %s", got.WakeAt, end.Add(35*time.Second))
			}
		})
	}
}

func leaveEndpoints(in *Input, endpoints Endpoints) {
	in.Observed.Stable.Endpoints = append(in.Observed.Stable.Endpoints, endpoints)
}

// TestPromotion checks T8: full size, weight 100, stable Service, weight 0, commit; each when the former is verified. In
// Argo Rollouts, promote --full sent traffic to pods that were not ready (argo-rollouts#1580, #1681), and pods are deleted
// before their weight is out of force everywhere (#4595).
func TestPromotion(t *testing.T) {
	moved := func(percent int32, changes ...change) Input {
		return changed(promoting(percent), append([]change{stableAt("b")}, changes...)...)
	}
	for name, tc := range map[string]planCase{
		"not at full size":       {in: changed(promoting(50), pods("b", 2)), targets: "Promoting 0: 50% a/b", actions: []string{"ScaleReplicaSet reviews-b replicas=4"}},
		"at full size":           {in: promoting(50), targets: "Promoting 0: 100% a/b"},
		"headers go with 100":    {in: changed(promoting(50), headers(true)), targets: "Promoting 0: 100% a/b"},
		"one endpoint short":     {in: changed(promoting(50), canaryEndpoints("b", 3)), targets: "Promoting 0: 50% a/b"},
		"new endpoints":          {in: moved(100), targets: "Promoting 0: 0% b/b"},
		"new endpoints not yet":  {in: moved(100, stableEndpoints("b", 3)), targets: "Promoting 0: 100% b/b"},
		"new endpoints settling": {in: moved(100, memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt = ago(4) })), targets: "Promoting 0: 100% b/b", wake: time.Second},
		"weight 0 settling":      {in: moved(0, verified(4)), targets: "Promoting 0: 0% b/b", wake: time.Second},
		"weight 0 not verified":  {in: moved(0, unverified), targets: "Promoting 0: 0% b/b"},
		"commit":                 {in: moved(0, verified(5)), targets: "Idle 0: 0% b/b"},
		"held":                   {in: changed(promoting(50), func(in *Input) { in.Spec.Paused = true }), targets: "Promoting 0: 50% a/b"},
		"steps do not matter":    {in: changed(promoting(50), func(in *Input) { in.Spec.Steps = []v1alpha1.Step{pause(0)} }), targets: "Promoting 0: 100% a/b"},
		"another template":       {in: changed(promoting(50), template("c")), targets: "RollingBack 0: 0% a/b"},
		"another one, moved":     {in: moved(0, template("c")), targets: "RollingBack 0: 100% b/b"},
		"finishing is not left": {in: changed(promoting(50), template("c"), memory(func(m *v1alpha1.Memory) { m.ForcedRevision = "b" })),
			targets: "Promoting 0: 100% a/b"},
		"dying":                    {in: changed(promoting(100), alive("b", 0)), targets: "Promoting 0: 0% a/b"},
		"sick stable is no matter": {in: changed(promoting(100), verified(5), alive("a", 0)), targets: "Promoting 0: 100% b/b"},
	} {
		t.Run(name, tc.check)
	}
}
