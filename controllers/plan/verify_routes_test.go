// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestVerification checks T4: a weight is verified when every gateway has accepted the generation that first carried it, or a
// later one. With a gateway that reports no generation, it counts as verified after a bounded wait.
func TestVerification(t *testing.T) {
	carried := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.Traffic.Routes[0].CarriedAt = ago(seconds) })
	}
	accepted := func(generation int64, unversioned bool) change {
		return route(func(r *Route) { r.AcceptedGeneration, r.Unversioned = generation, unversioned })
	}
	others := route(func(r *Route) { r.Generation = 9 })
	unseen := memory(func(m *v1alpha1.Memory) { m.Traffic.Routes = nil })
	second := func(in *Input) { // another route, which lags
		other := in.Observed.Routes[0]
		other.Name, other.AcceptedGeneration = "other", 6
		in.Prior.Memory.Routes = append(in.Prior.Memory.Routes, v1alpha1.ManagedRoute{Kind: "HTTPRoute", Name: "other"})
		in.Observed.Routes = append(in.Observed.Routes, other)
	}
	for name, tc := range map[string]struct {
		changes []change
		want    bool
		wake    time.Duration
	}{
		"this generation":                   {changes: nil, want: true},
		"an older generation":               {changes: []change{accepted(6, false)}},
		"no parents":                        {changes: []change{accepted(0, false)}},
		"changed by others since":           {changes: []change{others, accepted(7, false)}, want: true},
		"changed by others, one between":    {changes: []change{others, accepted(8, false)}, want: true},
		"changed by others, older":          {changes: []change{others, accepted(6, false)}},
		"first seen at a newer generation":  {changes: []change{others, unseen, accepted(8, false)}},
		"first seen and taken":              {changes: []change{others, unseen, accepted(9, false)}, want: true},
		"unversioned, at once":              {changes: []change{accepted(0, true), carried(0)}, wake: 30 * time.Second},
		"unversioned, waiting":              {changes: []change{accepted(0, true), carried(29)}, wake: time.Second},
		"unversioned, long enough":          {changes: []change{accepted(0, true), carried(30)}, want: true},
		"mixed, the versioned one lags":     {changes: []change{accepted(6, true)}},
		"mixed, the versioned one is first": {changes: []change{accepted(7, true), carried(29)}, wake: time.Second},
		"mixed, both":                       {changes: []change{accepted(7, true), carried(30)}, want: true},
		"another weight":                    {changes: []change{route(func(r *Route) { r.Weight = 19 })}},
		"mixed weights":                     {changes: []change{route(func(r *Route) { r.Weight = MixedWeight })}},
		"other header rules":                {changes: []change{route(func(r *Route) { r.Headers = HeadersOther })}},
		"one of two routes":                 {changes: []change{second}},
		"missing":                           {changes: []change{route(func(r *Route) { r.Found = false })}},
		"none listed":                       {changes: []change{func(in *Input) { in.Observed.Routes = nil }}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, was := range []bool{false, true} { // whether it was verified before does not matter
				in := midway(20, pause(0))
				if !was {
					in.Prior.Memory.Traffic.VerifiedAt = nil
				}
				got := Compute(changed(in, tc.changes...))
				if verified := got.Status.Memory.Traffic.VerifiedAt != nil; verified != tc.want {
					t.Errorf("was verified %t, is %t, want %t", was, verified, tc.want)
				}
				if tc.wake > 0 && !got.WakeAt.Equal(in.Now.Add(tc.wake)) {
					t.Errorf("wakes %s later, want %s", got.WakeAt.Sub(in.Now), tc.wake)
				}
			}
		})
	}
}

// TestVerificationRecord checks T4: the first observation is kept as long as the route carries the target.
func TestVerificationRecord(t *testing.T) {
	later := changed(midway(20, pause(0)), route(func(r *Route) { r.Generation = 9 }))
	if got := Compute(later).Status.Memory.Traffic.Routes[0].Generation; got != 7 {
		t.Errorf("first carried by generation %d, want 7", got)
	}
	lost := changed(midway(20, pause(0)), route(func(r *Route) { r.Weight = 30 }))
	if got := Compute(lost).Status.Memory.Traffic.Routes; got != nil {
		t.Errorf("a route that does not carry the target is remembered: %v", got)
	}
	next := changed(midway(20, weight(40)), pods("b", 2))
	if got := Compute(next).Status.Memory.Traffic; got.Routes != nil || got.VerifiedAt != nil || got.VerifiedWeight != 20 {
		t.Errorf("the verification of the former weight was used for the next: %+v", got)
	}
}

// TestTooCoarse checks T5: a shared rule whose total cannot express a step is reported, with the factor that fixes it.
func TestTooCoarse(t *testing.T) {
	for name, tc := range map[string]struct {
		total int32
		steps []v1alpha1.Step
		want  string
	}{
		"no shared rule": {0, []v1alpha1.Step{weight(33)}, ""},
		"fine enough":    {100, []v1alpha1.Step{weight(33)}, ""},
		"just enough":    {10, []v1alpha1.Step{weight(10), pause(0), weight(50)}, ""},
		"all or nothing": {1, []v1alpha1.Step{weight(0), weight(100)}, ""},
		"half":           {1, []v1alpha1.Step{weight(50)}, "by 2"},
		"fine steps":     {10, []v1alpha1.Step{weight(10), weight(25)}, "by 2"},
		"odd total":      {3, []v1alpha1.Step{weight(33)}, "by 100"},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(idle(tc.steps...), template("b"), route(func(r *Route) { r.Total = tc.total }))
			got := Compute(in)
			stalled, started := conditionOf(got, v1alpha1.ConditionStalled), got.Status.Memory.Phase != v1alpha1.PhaseIdle
			if started != (tc.want == "") {
				t.Errorf("started: %t", started)
			}
			if tc.want != "" && (stalled.Reason != v1alpha1.ReasonWeightNotRepresentable || !strings.HasSuffix(stalled.Message, tc.want)) {
				t.Errorf("stalled by %s: %s, want %q", stalled.Reason, stalled.Message, tc.want)
			}
		})
	}
}

// TestTooCoarseAtRest checks that steps that a route cannot express block neither a first deploy nor an idle rollout, which
// walk no steps.
func TestTooCoarseAtRest(t *testing.T) {
	coarse := route(func(r *Route) { r.Total = 1 })
	for name, in := range map[string]Input{
		"idle":         changed(idle(weight(50)), coarse),
		"aborted":      changed(idle(weight(50)), coarse, template("b"), memory(func(m *v1alpha1.Memory) { m.AbortedRevision = "b" })),
		"first deploy": changed(firstDeploy(), coarse, func(in *Input) { in.Spec.Steps = []v1alpha1.Step{weight(50)} }),
	} {
		t.Run(name, func(t *testing.T) {
			if got := conditionOf(Compute(in), v1alpha1.ConditionStalled); got.Reason == v1alpha1.ReasonWeightNotRepresentable {
				t.Errorf("stalled: %s", got.Message)
			}
		})
	}
}

// TestLevel checks T6: what differs from memory is written in any phase, no matter who changed it; and T4: its verification is
// dropped before that.
func TestLevel(t *testing.T) {
	edited := func(weight int32, state HeaderState) change {
		return route(func(r *Route) { r.Weight, r.Headers = weight, state })
	}
	paused := func(in *Input) { in.Spec.Paused = true }
	second := func(in *Input) {
		other := in.Observed.Routes[0]
		other.Name, other.Weight = "other", 0
		in.Prior.Memory.Routes = append(in.Prior.Memory.Routes, v1alpha1.ManagedRoute{Kind: "HTTPRoute", Name: "other"})
		in.Observed.Routes = append(in.Observed.Routes, other)
	}
	set20 := []string{"SetTraffic reviews weight=20 headerRoutes=0"}
	for name, tc := range map[string]struct {
		in      Input
		actions []string
		because string
		voids   bool // the old verification, with a pass of its own
	}{
		"as it should be":            {in: midway(20, pause(0))},
		"another weight":             {midway(20, pause(0)), set20, "canary share from 50 to 20 %", true},
		"while paused":               {changed(midway(20, pause(0)), paused), set20, "canary share from 50 to 20 %", true},
		"mixed":                      {midway(20, pause(0)), set20, "canary share to 20 %", true},
		"our rules deleted":          {changed(midway(20, pause(0)), headers(true)), []string{"SetTraffic reviews weight=20 headerRoutes=1"}, "header routes set", true},
		"our rules edited":           {changed(midway(20, pause(0)), headers(true)), []string{"SetTraffic reviews weight=20 headerRoutes=1"}, "header routes set", true},
		"rules not in force":         {changed(midway(20, pause(0)), headers(false), alive("b", 0), alive("a", 0)), set20, "header routes removed", true},
		"idle":                       {idle(), []string{"SetTraffic reviews weight=0 headerRoutes=0"}, "canary share from 50 to 0 %", true},
		"one of two":                 {changed(midway(20, pause(0)), second), []string{"SetTraffic other weight=20 headerRoutes=0"}, "canary share from 0 to 20 %", false},
		"first deploy, no endpoint":  {in: firstDeploy()},
		"first deploy, an endpoint":  {changed(firstDeploy(), stableEndpoints("", 1)), []string{"SetTraffic reviews weight=0 headerRoutes=0"}, "canary share from 50 to 0 %", true},
		"first deploy with problems": {in: changed(firstDeploy(), stableEndpoints("", 1), func(in *Input) { in.Observed.Canary.Problem = &Problem{Reason: "x"} })},
	} {
		t.Run(name, func(t *testing.T) {
			change := map[string]change{
				"as it should be": func(*Input) {}, "one of two": func(*Input) {}, "mixed": edited(MixedWeight, HeadersNone),
				"our rules deleted": edited(20, HeadersNone), "our rules edited": edited(20, HeadersOther),
				"rules not in force": edited(20, HeadersCurrent),
			}[name]
			if change == nil {
				change = edited(50, HeadersNone)
			}
			change(&tc.in)
			got := Compute(tc.in)
			if tc.voids {
				if voided := got.Status.Memory.Traffic; len(got.Actions) > 0 || voided.VerifiedAt != nil {
					t.Errorf("writes %v before the old verification is dropped (%v)", described(got.Actions), voided.VerifiedAt)
				}
				tc.in.Prior = got.Status
				got = Compute(tc.in)
			}
			if diff := cmp.Diff(tc.actions, described(got.Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			} else if len(got.Actions) > 0 && got.Actions[0].Because() != tc.because {
				t.Errorf("because %q, want %q", got.Actions[0].Because(), tc.because)
			}
		})
	}
}

// TestUntouched checks T5: nothing is written to a route that is missing, or that has a problem.
func TestUntouched(t *testing.T) {
	for name, c := range map[string]change{
		"missing": route(func(r *Route) { r.Found, r.Weight = false, 50 }),
		"problem": route(func(r *Route) { r.Problem, r.Weight = &Problem{Reason: v1alpha1.ReasonBackendPairNotFound}, 50 }),
	} {
		if got := Compute(changed(midway(20, pause(0)), c)).Actions; len(got) > 0 {
			t.Errorf("%s: %v", name, described(got))
		}
	}
}
