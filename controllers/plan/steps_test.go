// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func exactly(n int32) *v1alpha1.SetCanaryScale {
	return &v1alpha1.SetCanaryScale{Replicas: &n, Mode: v1alpha1.ScaleModeExact}
}

func atLeast(n int32) *v1alpha1.SetCanaryScale { return &v1alpha1.SetCanaryScale{Replicas: &n} }

func percent(n int32, mode v1alpha1.ScaleMode) *v1alpha1.SetCanaryScale {
	return &v1alpha1.SetCanaryScale{Weight: &n, Mode: mode}
}

// TestCanarySize checks the meaning of setCanaryScale: a minimum that weights grow, or a pinned size; for 0, 1, 4 and 10
// replicas. A header route has a pod at weight 0, too: without a scale step (plugin#147), and with matchTrafficWeight,
// where Argo Rollouts took the canary to 0 and the header route with it (argo-rollouts#4486).
func TestCanarySize(t *testing.T) {
	for name, tc := range map[string]struct {
		scale                       *v1alpha1.SetCanaryScale
		weight, inForce, load       int32
		headers, selected           bool
		want0, want1, want4, want10 int32
	}{
		"nothing asked":            {},
		"weight 1":                 {weight: 1, want1: 1, want4: 1, want10: 1},
		"weight 10":                {weight: 10, want1: 1, want4: 1, want10: 1},
		"weight 11":                {weight: 11, want1: 1, want4: 1, want10: 2},
		"weight 50":                {weight: 50, want1: 1, want4: 2, want10: 5},
		"weight 100":               {weight: 100, want1: 1, want4: 4, want10: 10},
		"weight on its way down":   {weight: 10, inForce: 60, load: 60, want1: 1, want4: 3, want10: 6},
		"lower weight not settled": {weight: 10, inForce: 10, load: 60, want1: 1, want4: 3, want10: 6},
		"lower weight settled":     {weight: 10, inForce: 10, load: 10, want1: 1, want4: 1, want10: 1},
		"minimum 2":                {scale: atLeast(2), want1: 2, want4: 2, want10: 2},
		"minimum 2, weight 10":     {scale: atLeast(2), weight: 10, want1: 2, want4: 2, want10: 2},
		"minimum 2, weight 100":    {scale: atLeast(2), weight: 100, want1: 2, want4: 4, want10: 10},
		"minimum 0":                {scale: atLeast(0)},
		"minimum 25 %":             {scale: percent(25, ""), want1: 1, want4: 1, want10: 3},
		"minimum 25 %, weight 50":  {scale: percent(25, v1alpha1.ScaleModeMinimum), weight: 50, want1: 1, want4: 2, want10: 5},
		"exactly 2":                {scale: exactly(2), want1: 2, want4: 2, want10: 2},
		"exactly 2, weight 100":    {scale: exactly(2), weight: 100, want1: 2, want4: 2, want10: 2},
		"exactly 50 %, weight 100": {scale: percent(50, v1alpha1.ScaleModeExact), weight: 100, want1: 1, want4: 2, want10: 5},
		"exactly 0 is never none":  {scale: exactly(0), weight: 10, want1: 1, want4: 1, want10: 1},
		"header route":             {headers: true, want1: 1, want4: 1, want10: 1},
		"the Service selects it":   {selected: true, want1: 1, want4: 1, want10: 1},
	} {
		t.Run(name, func(t *testing.T) {
			for replicas, want := range map[int32]int32{0: tc.want0, 1: tc.want1, 4: tc.want4, 10: tc.want10} {
				in := midway(tc.inForce, weight(tc.weight))
				in.Spec.Replicas = &replicas
				mem := in.Prior.Memory
				mem.StepTargets.Scale, mem.Traffic.MaxLoadPercent = tc.scale, tc.load
				if !tc.selected {
					mem.CanaryService.Revision = "a"
				}
				if tc.headers {
					mem.StepTargets.HeaderRoutes = []v1alpha1.SetHeaderRoute{*qaRoute()}
				}
				set("b", func(rs *ReplicaSet) { rs.Desired = 99 })(&in)
				if got := scaledTo(Compute(in), "reviews-b"); got != want {
					t.Errorf("%d replicas: canary of %d, want %d", replicas, got, want)
				}
			}
		})
	}
}

func scaledTo(plan Plan, name string) int32 {
	for _, action := range plan.Actions {
		if scale, is := action.(ScaleReplicaSet); is && scale.Name == name {
			return scale.Replicas
		}
	}
	return -1
}

// TestSizesFollow checks the edge rule that both revisions follow spec.replicas at once, and an aborted canary never
// grows. Stable has all its pods whatever its weight: Argo Rollouts can shrink it by the weight that was written, and lost
// requests when proxies were late (argo-rollouts#3586, #3681), or when all traffic came back (#3372, #3020).
func TestSizesFollow(t *testing.T) {
	to := func(replicas int32) change { return func(in *Input) { in.Spec.Replicas = &replicas } }
	minReady := func(in *Input) { in.Spec.MinReadySeconds = 7 }
	missing := func(in *Input) { in.Observed.ReplicaSets = in.Observed.ReplicaSets[:1] }
	scaled := func(a, b int32) []string {
		return []string{fmt.Sprintf("ScaleReplicaSet reviews-a replicas=%d", a), fmt.Sprintf("ScaleReplicaSet reviews-b replicas=%d", b)}
	}
	for name, tc := range map[string]struct {
		in   Input
		want []string
	}{
		"up":                      {changed(midway(50, pause(0)), to(10)), scaled(10, 5)},
		"down":                    {changed(midway(50, pause(0)), to(2)), scaled(2, 1)},
		"to nothing":              {changed(midway(50, pause(0)), to(0)), scaled(0, 0)},
		"promoting":               {changed(promoting(50), to(10)), scaled(10, 10)},
		"rolling back":            {changed(rollingBack(50), to(10)), scaled(10, 5)[:1]},
		"returning, nothing":      {changed(rollingBack(50), to(0)), scaled(0, 0)},
		"returning, moved":        {changed(rollingBack(50), stableAt("b"), pods("b", 2), to(10)), scaled(10, 10)},
		"minReadySeconds":         {changed(midway(50, pause(0)), minReady), scaled(4, 2)},
		"missing":                 {changed(midway(50, pause(0)), missing), []string{"CreateReplicaSet b replicas=2"}},
		"missing, not the spec's": {changed(midway(50, pause(0)), missing, template("c")), nil},
		"missing, not recognised": {changed(midway(50, pause(0)), missing, memory(func(m *v1alpha1.Memory) { m.Template.Revision = "c" })), nil},
		"missing, returning":      {changed(rollingBack(50), missing), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, described(Compute(tc.in).Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStepDone checks when each kind of step is done.
func TestStepDone(t *testing.T) {
	two := canaryScale(2)
	scaled := memory(func(m *v1alpha1.Memory) { m.StepTargets.Scale = two.SetCanaryScale })
	for name, tc := range map[string]planCase{
		"scale waits for pods":          {in: changed(midway(0, two), scaled, pods("b", 2), alive("b", 1)), targets: "Stepping 0: 0% a/b"},
		"scale has its pods":            {in: changed(midway(0, two), scaled, pods("b", 2)), targets: "Stepping 1: 0% a/b"},
		"weight waits for verification": {in: changed(midway(20, weight(20)), unverified), targets: "Stepping 0: 20% a/b"},
		"weight is verified":            {in: changed(midway(20, weight(20)), verified(0)), targets: "Stepping 1: 20% a/b"},
		"weight and the next":           {in: changed(midway(20, weight(20), weight(25))), targets: "Stepping 1: 25% a/b"},
		"header waits for verification": {in: changed(midway(20, headerStep()), headers(true), unverified), targets: "Stepping 0: 20% a/b +headers"},
		"header is verified":            {in: changed(midway(20, headerStep()), headers(true)), targets: "Stepping 1: 20% a/b +headers"},
		"the last one":                  {in: changed(midway(20), memory(func(m *v1alpha1.Memory) { m.StepIndex = 1 })), targets: "Promoting 1: 20% a/b"},
		"pause":                         {in: midway(20, pause(0)), targets: "Stepping 0: 20% a/b"},
		"spec.paused":                   {in: changed(midway(20, weight(20)), func(in *Input) { in.Spec.Paused = true }), targets: "Stepping 0: 20% a/b"},
		"no replicas":                   {in: changed(midway(20, weight(20)), func(in *Input) { in.Spec.Replicas = ptr.To[int32](0) }, pods("b", 0), pods("a", 0)), targets: "Stepping 0: 20% a/b"},
	} {
		t.Run(name, tc.check)
	}
}

// TestStepTargets checks what a step asks for when it begins: of the scale, of the weight, and of the header routes. Beside a
// header route that is in force, TestAnotherHeaderRoute checks when another one is added. The plugin of Argo Rollouts takes out
// all header routes when a step takes out one.
func TestStepTargets(t *testing.T) {
	other := v1alpha1.SetHeaderRoute{Name: "beta", Matches: qaRoute().Matches}
	next := func(step v1alpha1.Step) *v1alpha1.Memory {
		return ComputeMove(changed(midway(20, weight(20), step), headers(true), memory(func(m *v1alpha1.Memory) { m.StepTargets.Scale = atLeast(1) }))).Status.Memory
	}
	matching := v1alpha1.Step{SetCanaryScale: &v1alpha1.SetCanaryScale{MatchTrafficWeight: ptr.To(true)}}
	for name, tc := range map[string]struct {
		step     v1alpha1.Step
		scale    *v1alpha1.SetCanaryScale
		names    []string
		targets  string
		verified bool
	}{
		"pause":              {pause(0), atLeast(1), []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"scale":              {canaryScale(3), atLeast(3), []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"matchTrafficWeight": {matching, nil, []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"same header route":  {headerStep(), atLeast(1), []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"other header route": {v1alpha1.Step{SetHeaderRoute: &other}, atLeast(1), []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"header route out":   {v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa"}}, atLeast(1), nil, "Stepping 1: 20% a/b", false},
		"no such header":     {v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "x"}}, atLeast(1), []string{"qa"}, "Stepping 1: 20% a/b +headers", true},
		"mirror":             {mirrorStep(5), atLeast(1), []string{"qa"}, "Stepping 1: 20% a/b +headers +mirror 5", false},
		"weight":             {weight(10), atLeast(1), []string{"qa"}, "Stepping 1: 10% a/b +headers", false},
	} {
		t.Run(name, func(t *testing.T) {
			mem := next(tc.step)
			var names []string
			for _, route := range mem.StepTargets.HeaderRoutes {
				names = append(names, route.Name)
			}
			got := []any{mem.StepTargets.Scale, names, targets(mem), mem.Traffic.VerifiedAt != nil}
			if diff := cmp.Diff([]any{tc.scale, tc.names, tc.targets, tc.verified}, got); diff != "" {
				t.Errorf("memory differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMirror checks T2, T8 and T9 for copies: they are load for the canary, they start after its pods are ready, and they end
// with its traffic.
func TestMirror(t *testing.T) {
	newTarget := memory(func(m *v1alpha1.Memory) { m.Traffic.Routes, m.Traffic.VerifiedAt = nil, nil })
	lacking := route(func(r *Route) {
		r.Unsupported.Mirror = &Problem{v1alpha1.ReasonMirrorNotSupported, "its class has no mirrors"}
	})
	const kept = "Stepping 0: 20% a/b +mirror 30"
	for name, tc := range map[string]planCase{
		"pods first": {in: changed(midway(20, mirrorStep(30)), memory(func(m *v1alpha1.Memory) { m.StepTargets.MirrorPercent = 30 })),
			targets: "Stepping 0: 20% a/b", actions: []string{"ScaleReplicaSet reviews-b replicas=2"}},
		"with pods": {in: changed(midway(20, mirrorStep(30)), pods("b", 2), memory(func(m *v1alpha1.Memory) { m.StepTargets.MirrorPercent = 30 })),
			targets: kept},
		"written":                 {in: changed(midway(20, mirrorStep(30)), pods("b", 2), mirror(30), route(func(r *Route) { r.Mirror = 0 }), newTarget), targets: kept, actions: []string{"SetTraffic reviews weight=20 headerRoutes=0 mirror=30"}},
		"less needs no pods":      {in: changed(midway(20, mirrorStep(10), pause(0)), pods("b", 2), mirror(30), memory(func(m *v1alpha1.Memory) { m.StepTargets.MirrorPercent = 10 })), targets: "Stepping 0: 20% a/b +mirror 10"},
		"the Service is in use":   {in: changed(midway(0, pause(0)), waitingToMove, canaryEndpoints("b", 2), mirror(30)), targets: "Stepping 0: 0% a/a +mirror 30"},
		"an abort":                {in: changed(midway(20, pause(0)), pods("b", 2), mirror(30), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"an abort without stable": {in: changed(midway(0, pause(0)), pods("b", 2), mirror(30), aborting, alive("a", 0)), targets: "RollingBack 0: 0% a/b aborted b"},
		"a dying canary":          {in: changed(midway(0, pause(0)), pods("b", 2), mirror(30), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"a promotion":             {in: changed(promoting(50), mirror(30)), targets: "Promoting 0: 100% a/b"},
		"not supported":           {in: changed(midway(20, mirrorStep(30)), lacking, pods("b", 2), memory(func(m *v1alpha1.Memory) { m.StepTargets.MirrorPercent = 30 })), targets: "Stepping 0: 20% a/b", wake: MirrorRecheck, stalled: v1alpha1.ReasonMirrorNotSupported},
	} {
		t.Run(name, tc.check)
	}
}

// TestUnsupportedStep checks that a feature that a gateway does not support blocks the step that uses it, and nothing else. A
// first deploy, which skips the steps, used to stay Degraded because of a mirror in one of them.
func TestUnsupportedStep(t *testing.T) {
	lacking := route(func(r *Route) {
		r.Unsupported = Unsupported{
			Mirror:      &Problem{v1alpha1.ReasonMirrorNotSupported, "its class has no mirrors"},
			QueryParams: &Problem{v1alpha1.ReasonHeaderRouteNotSupported, "its class matches no query"},
			Method:      &Problem{v1alpha1.ReasonHeaderRouteNotSupported, "its class matches no method"},
		}
	})
	mirrorAhead := func(in *Input) { in.Spec.Steps = []v1alpha1.Step{weight(20), mirrorStep(30)} }
	matching := func(match v1alpha1.RequestMatch) change {
		return memory(func(m *v1alpha1.Memory) {
			m.StepTargets.HeaderRoutes = []v1alpha1.SetHeaderRoute{{Name: "qa", Matches: []v1alpha1.RequestMatch{match}}}
		})
	}
	get := gatewayv1.HTTPMethodGet
	query := []gatewayv1.HTTPQueryParamMatch{{Name: "a", Value: "b"}}
	fine, none := v1alpha1.ReasonNotStalled, v1alpha1.ReasonHeaderRouteNotSupported
	for name, tc := range map[string]planCase{
		"first deploy":     {in: changed(firstDeploy(), lacking, mirrorAhead), targets: "Promoting 0: 0% b/b", stalled: fine},
		"idle":             {in: changed(idle(), lacking, mirrorAhead), targets: "Idle 0: 0% a/a", stalled: fine},
		"the step before":  {in: changed(midway(20, weight(20), pause(0), mirrorStep(30)), lacking), targets: "Stepping 1: 20% a/b", stalled: fine},
		"the step reached": {in: changed(midway(20, weight(20), mirrorStep(30)), lacking), targets: "Stepping 1: 20% a/b", stalled: v1alpha1.ReasonMirrorNotSupported},
		"an abort there":   {in: changed(midway(20, weight(20), mirrorStep(30)), lacking, aborting), targets: "RollingBack 0: 0% a/b aborted b", stalled: fine},
		"a query":          {in: changed(midway(0, headerStep()), lacking, headers(false), matching(v1alpha1.RequestMatch{QueryParams: query})), targets: "Stepping 0: 0% a/b", stalled: none},
		"a method":         {in: changed(midway(0, headerStep()), lacking, headers(false), matching(v1alpha1.RequestMatch{Method: &get})), targets: "Stepping 0: 0% a/b", stalled: none},
	} {
		t.Run(name, tc.check)
	}
}

// TestCanaryKeepsPodsForOldLoad checks T3 for a canary that loses a part of its load: it keeps the pods that the larger
// load needs until the smaller one is verified and settled.
func TestCanaryKeepsPodsForOldLoad(t *testing.T) {
	for name, in := range map[string]Input{
		"a weight that falls":      changed(midway(100, weight(100), weight(25), pause(0)), pods("b", 4)),
		"a mirror that is removed": changed(midway(25, weight(25), mirrorStep(0), pause(0)), pods("b", 4), mirror(75)),
	} {
		t.Run(name, func(t *testing.T) {
			in.Prior.Memory.Traffic.MaxLoadPercent = 100
			var shrunk time.Time
			for deadline := in.Now.Add(time.Minute); shrunk.IsZero() && in.Now.Before(deadline); in.Now = in.Now.Add(100 * time.Millisecond) {
				plan := Compute(in)
				if got := scaledTo(plan, "reviews-b"); got == 1 {
					shrunk = in.Now
				}
				follow(&in, plan)
			}
			verifiedAt := in.Prior.Memory.Traffic.VerifiedAt
			if verifiedAt == nil || shrunk.Before(verifiedAt.Add(newSettings(&in.Spec).settle)) {
				t.Errorf("the canary shrinks at %s, and the smaller load is verified at %s", shrunk, verifiedAt)
			}
		})
	}
}

// follow carries out a plan on the routes, which their gateway accepts at once.
func follow(in *Input, plan Plan) {
	for _, action := range plan.Actions {
		if set, is := action.(SetTraffic); is {
			route := &in.Observed.Routes[0]
			route.Weight, route.Mirror = set.Weight, set.Mirror
			route.Generation++
			route.AcceptedGeneration = route.Generation
		}
	}
	in.Prior = plan.Status
}

// TestStepsEdited checks that edited steps start over while weight and scale are kept.
func TestStepsEdited(t *testing.T) {
	in := changed(midway(50, weight(50), pause(0)), headers(true), memory(func(m *v1alpha1.Memory) {
		m.StepIndex, m.StepTargets.Scale = 1, exactly(2)
	}))
	edit := func(steps ...v1alpha1.Step) { in.Spec.Steps, in.Observed.StepsHash = steps, stepsHash(steps) }
	edit(pause(0), weight(20), headerStep())
	got := Compute(in)
	planCase{in: in, targets: "Stepping 0: 50% a/b +headers"}.check(t)
	if mem := got.Status.Memory; mem.StepTargets.Weight != 50 || mem.StepTargets.Scale == nil || mem.CurrentRevision != "b" {
		t.Errorf("held weight %d, scale %v, revision %s", mem.StepTargets.Weight, mem.StepTargets.Scale, mem.CurrentRevision)
	}
	edit()
	passed(&in)
	planCase{in: in, targets: "Promoting 0: 50% a/b", actions: []string{"SetTraffic reviews weight=50 headerRoutes=0"}}.check(t)
}

// TestPauses checks how pauses end: after their duration, by a timeout with its action, or only by a promote.
func TestPauses(t *testing.T) {
	for10s := v1alpha1.Step{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: 10 * time.Second}}}
	timeout := func(then v1alpha1.TimeoutAction) v1alpha1.Step {
		return v1alpha1.Step{Pause: &v1alpha1.Pause{Timeout: &metav1.Duration{Duration: time.Minute}, OnTimeout: then}}
	}
	started := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.TransitionedAt = ago(seconds) })
	}
	const still = "Stepping 0: 20% a/b"
	for name, tc := range map[string]planCase{
		"duration":         {in: changed(midway(20, for10s), started(9)), targets: still, wake: time.Second},
		"duration over":    {in: changed(midway(20, for10s), started(10)), targets: "Stepping 1: 20% a/b"},
		"timeout":          {in: changed(midway(20, timeout("Abort")), started(59)), targets: still, wake: time.Second},
		"timeout aborts":   {in: changed(midway(20, timeout("Abort")), started(60)), targets: "RollingBack 0: 0% a/b aborted b"},
		"timeout promotes": {in: changed(midway(20, timeout("Promote")), started(60)), targets: "Stepping 1: 20% a/b"},
		"into a pause":     {in: midway(20, weight(20), for10s), targets: "Stepping 1: 20% a/b", wake: 10 * time.Second},
	} {
		t.Run(name, tc.check)
	}
	if got := Compute(midway(20, pause(0))); !got.WakeAt.IsZero() || got.Status.State != v1alpha1.StatePaused {
		t.Errorf("an unlimited pause: %s, wakes at %s", got.Status.State, got.WakeAt)
	}
}
