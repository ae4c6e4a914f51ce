// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// complains has the gateway refuse that generation, in its words.
func complains(generation int64) change {
	return route(func(r *Route) {
		r.Generation, r.AcceptedGeneration, r.RefusedGeneration = 8, 0, generation
		r.Pending = "Gateway http-gateway: Accepted is False for generation 8 (UnsupportedValue: no mirrors here)"
	})
}

// justWritten is a target that a route carries for the first time.
var justWritten = memory(func(m *v1alpha1.Memory) { m.Traffic.Routes, m.Traffic.VerifiedAt = nil, nil })

// TestRefusedExtras checks that a mirror or header routes that a gateway refuses are removed from the routes again: a refused
// route may no longer be served, and the weight is not the reason.
func TestRefusedExtras(t *testing.T) {
	mirroring := func(changes ...change) Input {
		return changed(changed(midway(20, mirrorStep(10)), pods("b", 2), mirror(10), justWritten), changes...)
	}
	acceptedBefore := memory(func(m *v1alpha1.Memory) {
		m.Traffic.Routes = []v1alpha1.RouteMemory{{Kind: "HTTPRoute", Name: "reviews", Generation: 8, CarriedAt: ago(60), Accepted: true}}
	})
	const out, in = "Stepping 0: 20% a/b", "Stepping 0: 20% a/b +mirror 10"
	for name, tc := range map[string]planCase{
		"a mirror":                 {in: mirroring(complains(8)), targets: out, stalled: v1alpha1.ReasonStepRefused},
		"header routes":            {in: changed(midway(20, headerStep()), headers(true), justWritten, complains(8)), targets: out, stalled: v1alpha1.ReasonStepRefused},
		"an older complaint":       {in: mirroring(complains(7)), targets: in},
		"a complaint of no number": {in: mirroring(complains(0)), targets: in},
		"accepted before":          {in: mirroring(complains(8), acceptedBefore), targets: in},
		"nothing but a weight":     {in: changed(midway(20, weight(20)), justWritten, complains(8)), targets: out, stalled: v1alpha1.ReasonNotStalled},
		"stable is down":           {in: mirroring(complains(8), alive("a", 0)), targets: in},
		"an abort":                 {in: mirroring(complains(8), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"a promotion":              {in: mirroring(complains(8), phase(v1alpha1.PhasePromoting)), targets: "Promoting 0: 20% a/b", actions: []string{"ScaleReplicaSet reviews-b replicas=4"}, stalled: v1alpha1.ReasonNotStalled},
	} {
		t.Run(name, tc.check)
	}
}

// TestRefusedExtrasHold checks what follows: the step waits and reports what was refused, even when the route is accepted
// again, until the steps are edited.
func TestRefusedExtrasHold(t *testing.T) {
	in := changed(midway(20, mirrorStep(10), pause(0)), pods("b", 2), mirror(10), justWritten, complains(8))
	plan := Compute(in)
	follow(&in, plan)
	for range 5 {
		in.Now = in.Now.Add(10 * time.Second)
		in.Observed.Routes[0].RefusedGeneration = 0
		plan = Compute(in)
		follow(&in, plan)
	}
	const want = "refused setMirrorRoute 10 in HTTPRoute reviews: Gateway http-gateway: Accepted is False for generation 8 (UnsupportedValue: no mirrors here)"
	if !strings.Contains(plan.Status.Message, want) || in.Prior.Memory.StepIndex != 0 || in.Observed.Routes[0].Mirror != 0 {
		t.Errorf("%q at step %d with mirror %d, want %q at step 0 without", plan.Status.Message, in.Prior.Memory.StepIndex, in.Observed.Routes[0].Mirror, want)
	}
	for name, tc := range map[string]planCase{
		"an edited route":                 {in: changed(in, route(func(r *Route) { r.Generation++; r.AcceptedGeneration++ })), targets: "Stepping 0: 20% a/b", stalled: v1alpha1.ReasonStepRefused},
		"edited steps":                    {in: changed(in, edited(weight(20), pause(0))), targets: "Stepping 0: 20% a/b", stalled: v1alpha1.ReasonNotStalled},
		"edited steps that have it later": {in: changed(in, edited(weight(20), pause(time.Hour), mirrorStep(10)), passed, passed), targets: "Stepping 1: 20% a/b", actions: []string{"ScaleReplicaSet reviews-b replicas=1"}, stalled: v1alpha1.ReasonNotStalled},
		"an abort":                        {in: changed(in, aborting), targets: "RollingBack 0: 0% a/b aborted b"},
	} {
		t.Run(name, tc.check)
	}
}

// edited gives the spec other steps in the middle of a release.
func edited(steps ...v1alpha1.Step) change {
	return func(in *Input) {
		in.Prior = *in.Prior.DeepCopy()
		in.Spec.Steps, in.Observed.StepsHash = steps, stepsHash(steps)
	}
}

// passed is one pass later.
func passed(in *Input) { in.Prior = ComputeMove(*in).Status }

// TestEditedStepsEndTheirProblem checks that the release does not wait for what the steps no longer ask for. A mirror that no
// gateway supports, or a conflicting header route, used to block it even after it was removed from the steps.
func TestEditedStepsEndTheirProblem(t *testing.T) {
	other := v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "a", Value: "b"}}}}}
	lacking := route(func(r *Route) {
		r.Unsupported.Mirror = &Problem{v1alpha1.ReasonMirrorNotSupported, "its class has no mirrors"}
	})
	asked := func(in *Input) { pods("b", 2)(in); in.Prior.Memory.StepTargets.MirrorPercent = 30 }
	conflicting := route(func(r *Route) {
		r.Headers, r.Problem = HeadersNone, &Problem{v1alpha1.ReasonHeaderRouteConflict, "its rule has a name"}
	})
	const plain, stalled = "Stepping 0: 20% a/b", v1alpha1.ReasonNotStalled
	for name, tc := range map[string]planCase{
		"a mirror that is not supported": {in: changed(midway(20, mirrorStep(30)), lacking, asked, edited(weight(20), pause(0))), targets: plain, stalled: stalled},
		"a mirror that goes":             {in: changed(midway(20, mirrorStep(30)), pods("b", 2), mirror(30), edited(weight(20), pause(0)), passed), targets: plain, stalled: stalled},
		"a mirror that stays":            {in: changed(midway(20, mirrorStep(30)), pods("b", 2), mirror(30), edited(weight(20), mirrorStep(30))), targets: plain + " +mirror 30"},
		"a header route that goes":       {in: changed(midway(20, headerStep()), headers(true), edited(weight(20), pause(0))), targets: plain},
		"a header route that stays":      {in: changed(midway(20, headerStep()), headers(true), edited(weight(20), headerStep(), pause(0))), targets: plain + " +headers"},
		"a header route that changes":    {in: changed(midway(20, headerStep()), headers(true), conflicting, edited(weight(20), v1alpha1.Step{SetHeaderRoute: &other})), targets: plain},
		"while it is paused":             {in: changed(midway(20, mirrorStep(30)), lacking, asked, edited(weight(20), pause(0)), func(in *Input) { in.Spec.Paused = true }), targets: plain},
	} {
		t.Run(name, tc.check)
	}
}

// TestRefusedBefore checks that a mirror is not written into a route that its gateway does not accept as it is: it would be
// blamed for what was wrong before.
func TestRefusedBefore(t *testing.T) {
	in := changed(midway(0, mirrorStep(10), pause(0)), justWritten, pods("b", 1), complains(8), memory(func(m *v1alpha1.Memory) { m.StepTargets.MirrorPercent = 10 }))
	planCase{in: in, targets: "Stepping 0: 0% a/b", stalled: v1alpha1.ReasonNotStalled}.check(t)
	accepted := route(func(r *Route) { r.AcceptedGeneration, r.RefusedGeneration = 8, 0 })
	planCase{in: changed(in, accepted), targets: "Stepping 0: 0% a/b +mirror 10"}.check(t)
}
