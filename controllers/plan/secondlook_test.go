// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestSecondLook checks that an action that raises or moves is checked against the world of its own pass. Its target was
// written to memory before: by a manager that crashed since, or whose write failed.
func TestSecondLook(t *testing.T) {
	target := func(weight int32) change {
		return memory(func(m *v1alpha1.Memory) {
			m.StepTargets.Weight = weight
			m.Traffic = v1alpha1.TrafficMemory{Weight: weight, UnverifiedSince: ago(5)}
		})
	}
	carried := func(weight int32) change {
		return route(func(r *Route) { r.Weight, r.Generation, r.AcceptedGeneration = weight, 8, 8 })
	}
	moveStable := memory(func(m *v1alpha1.Memory) { m.StableService = v1alpha1.ServiceMemory{Revision: "b"} })
	moveCanary := func(in *Input) {
		in.Prior.Memory.CanaryService = v1alpha1.ServiceMemory{Revision: "b"}
		in.Observed.Canary.Revision = "a"
		pods("b", 2)(in)
		canaryEndpoints("a", 4)(in)
	}
	const fifty = "SetTraffic reviews weight=50 headerRoutes=0"
	for name, tc := range map[string]planCase{
		"a weight, and the pods are there": {in: changed(midway(0, weight(50), pause(0)), target(50), pods("b", 2)), targets: "Stepping 0: 50% a/b", actions: []string{fifty}},
		"a weight, and the pods are gone":  {in: changed(midway(0, weight(50), pause(0)), target(50), pods("b", 2), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"a weight, and a pod is gone":      {in: changed(midway(0, weight(50), pause(0)), target(50), pods("b", 2), alive("b", 1)), targets: "Stepping 0: 50% a/b"},
		"a mirror, and the pods are gone":  {in: changed(midway(0, mirrorStep(50), pause(0)), mirror(50), carried(0), pods("b", 2), memory(func(m *v1alpha1.Memory) { m.Traffic.Routes = nil }), alive("b", 0), route(func(r *Route) { r.Mirror = 0 })), targets: "Stepping 0: 0% a/b"},
		"back to stable":                   {in: changed(rollingBack(0), carried(50), target(0)), targets: "RollingBack 0: 0% a/b", actions: []string{"SetTraffic reviews weight=0 headerRoutes=0"}},
		"back to stable, which is gone":    {in: changed(rollingBack(0), carried(50), target(0), alive("a", 0)), targets: "RollingBack 0: 0% a/b", stalled: v1alpha1.ReasonStableUnavailable},
		"back to a stable Service that is not there": {in: changed(rollingBack(0), carried(50), target(0), func(in *Input) {
			in.Observed.Stable = Service{Name: "reviews-stable", Problem: &Problem{Reason: v1alpha1.ReasonServiceNotFound, Message: "not found"}}
		}), targets: "RollingBack 0: 0% a/b", stalled: v1alpha1.ReasonServiceNotFound},
		"the stable Service":                {in: changed(promoting(100), moveStable), targets: "Promoting 0: 100% b/b", actions: []string{`PointService reviews-stable -> "b"`}},
		"the stable Service, under traffic": {in: changed(promoting(100), moveStable, carried(0)), targets: "Promoting 0: 100% b/b"},
		"the canary Service, stripped after a loss": {in: changed(midway(50, weight(50), pause(0)), pods("b", 2), func(in *Input) {
			in.Prior.Memory.CanaryService = v1alpha1.ServiceMemory{Revision: "b", Selected: true}
			in.Observed.Canary.Revision = ""
			in.Observed.Canary.Endpoints = []Endpoints{{Revision: "a", Ready: 4, Total: 4}, {Revision: "b", Ready: 2, Total: 2}}
		}), targets: "Stepping 1: 50% a/b", actions: []string{`PointService reviews-canary -> "b"`}},
		"the canary Service":                {in: changed(midway(0, weight(50)), moveCanary), targets: "Stepping 0: 0% a/b", actions: []string{`PointService reviews-canary -> "b"`}},
		"the canary Service, under traffic": {in: changed(midway(0, weight(50)), moveCanary, carried(50)), targets: "Stepping 0: 0% a/b"},
	} {
		t.Run(name, tc.check)
	}
}

// TestNoRepairInTheWay checks that a failover (edge rule of the dying canary) and an abort (T9) depend on the ready endpoints
// of the stable revision. A selector that lost its hash, and that a problem keeps from being restored, does not block them.
func TestNoRepairInTheWay(t *testing.T) {
	mismatch := &Problem{Reason: v1alpha1.ReasonServiceSelectorMismatch, Message: "it selects pods by version=v9"}
	stable := func(in *Input) { in.Observed.Stable.Revision, in.Observed.Stable.Problem = "", mismatch }
	canary := func(in *Input) {
		in.Observed.Canary.Revision, in.Observed.Canary.Problem, in.Observed.Canary.Endpoints = "", mismatch, nil
	}
	gone := func(in *Input) { in.Observed.Stable.Endpoints = nil }
	for name, tc := range map[string]planCase{
		"a flight":                          {in: changed(midway(50, weight(50), pause(0)), canary), targets: "Stepping 0: 0% a/b"},
		"a flight from an empty canary":     {in: changed(midway(50, weight(50), pause(0)), canary, stable), targets: "Stepping 0: 0% a/b"},
		"no flight to a Service with none":  {in: changed(midway(50, weight(50), pause(0)), canary, stable, gone), targets: "Stepping 0: 50% a/b"},
		"an abort":                          {in: changed(midway(50, weight(50), pause(0)), stable, aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"an abort, and the clock went back": {in: changed(midway(50, weight(50), pause(0)), aborting, memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt = ago(0) })), targets: "RollingBack 0: 0% a/b aborted b"},
		"an abort, and no stable endpoint":  {in: changed(midway(50, weight(50), pause(0)), stable, gone, aborting), targets: "RollingBack 0: 50% a/b aborted b"},
	} {
		t.Run(name, tc.check)
	}
}
