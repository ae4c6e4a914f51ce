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

// aborting gives the command.
func aborting(in *Input) { in.Commands.Abort = ptr.To("true") }

// TestRollback checks T9: before the stable Service has moved, all weight returns to it at once. After that, the rollback
// goes by way of weight 100. A stable revision without ready pods gets nothing, and a superseded canary keeps its pods until
// then: Argo Rollouts deleted them while the route still led to them (argo-rollouts#4390).
func TestRollback(t *testing.T) {
	moved := func(percent int32, changes ...change) Input {
		return changed(rollingBack(percent), append([]change{pods("b", 4), stableAt("b")}, changes...)...)
	}
	sick, none := v1alpha1.ReasonStableUnavailable, v1alpha1.ReasonNotStalled
	back := func(changes ...change) Input { // the stable Service selects a again, the weight is still 100
		return changed(rollingBack(100), append([]change{pods("b", 4)}, changes...)...)
	}
	// The stable Service was to go back because b had no endpoint, and still selects b.
	undone := func(percent int32, changes ...change) Input {
		return moved(percent, append(changes, memory(func(m *v1alpha1.Memory) { m.StableService = v1alpha1.ServiceMemory{Revision: "a"} }))...)
	}
	pointStableToA := []string{`PointService reviews-stable -> "a"`}
	for name, tc := range map[string]planCase{
		"move not made yet":            {in: undone(0, alive("b", 0)), targets: "RollingBack 0: 0% a/a", actions: pointStableToA},
		"overtaken by pods that came":  {in: undone(0), targets: "RollingBack 0: 100% b/b"},
		"under way, carries nothing":   {in: undone(100), targets: "RollingBack 0: 100% a/b", actions: pointStableToA},
		"abort":                        {in: changed(midway(50, pause(0)), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort with headers":           {in: changed(midway(50, pause(0)), headers(true), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort, held by spec.paused":   {in: changed(midway(50, pause(0)), aborting, func(in *Input) { in.Spec.Paused = true }), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort, held by a problem":     {in: changed(midway(50, pause(0)), aborting, func(in *Input) { in.Observed.Canary.Problem = &Problem{Reason: "x"} }), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort in promotion":           {in: changed(promoting(100), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort in promotion, moved":    {in: changed(promoting(0), stableAt("b"), aborting), targets: "RollingBack 0: 100% b/b aborted b"},
		"abort, stable has one pod":    {in: changed(midway(50, pause(0)), alive("a", 1), aborting), targets: "RollingBack 0: 0% a/b aborted b"},
		"abort, stable has none":       {in: changed(midway(50, pause(0)), alive("a", 0), aborting), targets: "RollingBack 0: 50% a/b aborted b", stalled: sick},
		"neither has any":              {in: changed(rollingBack(50), alive("a", 0), alive("b", 0)), targets: "RollingBack 0: 0% a/b", stalled: none},
		"only headers are left":        {in: changed(rollingBack(0), headers(true)), targets: "RollingBack 0: 0% a/b"},
		"moved, canary cannot serve":   {in: moved(0, canaryEndpoints("b", 0)), targets: "RollingBack 0: 0% b/b"},
		"moved, canary serves":         {in: moved(0), targets: "RollingBack 0: 100% b/b"},
		"moved, 100 settling":          {in: moved(100, verified(4)), targets: "RollingBack 0: 100% b/b", wake: time.Second},
		"moved, 100 settled":           {in: moved(100, verified(5)), targets: "RollingBack 0: 100% a/b"},
		"moved, stable has no pods":    {in: moved(100, alive("a", 0)), targets: "RollingBack 0: 100% b/b", stalled: sick},
		"moved, nothing to lose":       {in: moved(0, alive("b", 0)), targets: "RollingBack 0: 0% a/b"},
		"back, endpoints settling":     {in: back(memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt = ago(4) })), targets: "RollingBack 0: 100% a/b", wake: time.Second},
		"back, endpoints settled":      {in: back(), targets: "RollingBack 0: 0% a/b"},
		"back, one endpoint is enough": {in: back(stableEndpoints("a", 1)), targets: "RollingBack 0: 0% a/b"},
		"canary Service on its way":    {in: changed(rollingBack(0), memory(func(m *v1alpha1.Memory) { m.CanaryService.Revision = "a" })), targets: "RollingBack 0: 0% a/a", actions: []string{`PointService reviews-canary -> "a"`}},
		"the end":                      {in: changed(rollingBack(0), canaryAt("a")), targets: "Idle 0: 0% a/a"},
		"the end, canary is missing":   {in: changed(rollingBack(0), canaryAt("a"), func(in *Input) { in.Observed.Canary = Service{Name: "reviews-canary"} }), targets: "Idle 0: 0% a/a"},
		"stable template again":        {in: changed(midway(50, pause(0)), template("a")), targets: "RollingBack 0: 0% a/b"},
		"another template":             {in: changed(midway(50, pause(0)), template("c")), targets: "RollingBack 0: 0% a/b"},
		"another one, stable has none": {in: changed(midway(50, pause(0)), template("c"), alive("a", 0)), targets: "RollingBack 0: 50% a/b", stalled: sick},
		"another one, stable has none selected": {
			in:      changed(midway(50, pause(0)), template("c"), stableEndpoints("a", 0), problem(v1alpha1.ReasonServiceSelectorMismatch)),
			targets: "RollingBack 0: 50% a/b", stalled: v1alpha1.ReasonServiceSelectorMismatch,
		},
		"another one, still none": {in: changed(rollingBack(50), template("c"), alive("a", 0)), targets: "RollingBack 0: 50% a/b", stalled: sick},
	} {
		t.Run(name, tc.check)
	}
}

// TestFirstDeploySuperseded checks the edge rule that a template change while Initializing restarts it.
func TestFirstDeploySuperseded(t *testing.T) {
	restart := changed(firstDeploy(), template("c"))
	planCase{in: restart, targets: "Promoting 0: 0% /"}.check(t)
	if got := Compute(restart).Status.Memory.CurrentRevision; got != "c" {
		t.Errorf("deploys %s, want c", got)
	}

	for name, tc := range map[string]planCase{
		"weight first": {in: changed(midway(100), alive("a", 1)), targets: "RollingBack 0: 0% /b"},
		"then settled": {in: changed(midway(0), verified(4)), targets: "RollingBack 0: 0% /b", wake: time.Second},
		"then again":   {in: changed(midway(0), verified(5)), targets: "Promoting 0: 0% /b"},
		"a foreign weight": {in: changed(midway(0), alive("b", 0), stableEndpoints("", 0), route(func(r *Route) { r.Weight = 50 }), memory(func(m *v1alpha1.Memory) { m.Traffic.Routes = nil })),
			targets: "RollingBack 0: 0% /b", actions: []string{"SetTraffic reviews weight=0 headerRoutes=0"}},
	} {
		tc.in = changed(tc.in, phase(v1alpha1.PhaseRollingBack), template("c"), memory(func(m *v1alpha1.Memory) {
			m.StableRevision, m.StableService = "", v1alpha1.ServiceMemory{Name: "reviews-stable"}
		}))
		tc.in.Observed.Stable.Revision = ""
		t.Run(name, tc.check)
	}
}

// TestFirstDeployThatServesNothing checks that it is superseded at once: there is no traffic to return.
func TestFirstDeployThatServesNothing(t *testing.T) {
	in := changed(firstDeploy(), template("c"), route(func(r *Route) { r.Weight = 50 }), func(in *Input) { in.Prior.Memory.Traffic = v1alpha1.TrafficMemory{} })
	planCase{in: in, targets: "Promoting 0: 0% /", actions: []string{"SetTraffic reviews weight=0 headerRoutes=0"}}.check(t)
	if got := Compute(in).Status.Memory.CurrentRevision; got != "c" {
		t.Errorf("deploys %s, want c", got)
	}
}

// TestFirstWeights: the weights of a first deploy are written before a pod can answer. They used to be written after the
// first endpoint, and requests met the Service that had none yet. What answers by the canary Service alone keeps its weights
// until the stable one has endpoints.
func TestFirstWeights(t *testing.T) {
	fresh := func(changes ...change) Input {
		return changed(changed(firstDeploy(), route(func(r *Route) { r.Weight = 50 }), alive("b", 0), func(in *Input) {
			in.Prior.Memory.Traffic = v1alpha1.TrafficMemory{}
		}), changes...)
	}
	write := []string{"SetTraffic reviews weight=0 headerRoutes=0"}
	for name, tc := range map[string]planCase{
		"nothing answers":    {in: fresh(), targets: "Promoting 0: 0% /", actions: write},
		"stable answers":     {in: fresh(stableEndpoints("", 1)), targets: "Promoting 0: 0% /", actions: write},
		"canary alone":       {in: fresh(canaryEndpoints("", 1)), targets: "Promoting 0: 0% /"},
		"something is wrong": {in: fresh(problem(v1alpha1.ReasonServiceConflict)), targets: "Promoting 0: 0% /"},
	} {
		t.Run(name, tc.check)
	}
}

// TestFirstDeployStays checks that a first deploy whose pods already serve is finished first.
func TestFirstDeployStays(t *testing.T) {
	in := changed(firstDeploy(), stableAt("b"), canaryAt("b"), template("c"))
	planCase{in: in, targets: "Promoting 0: 0% b/b"}.check(t)
}

// TestDyingCanary checks the edge rule that a canary without a ready endpoint loses its traffic at once, and that it
// returns by T2.
func TestDyingCanary(t *testing.T) {
	goesBack := memory(func(m *v1alpha1.Memory) { m.StableService = v1alpha1.ServiceMemory{Revision: "a"} })
	for name, tc := range map[string]planCase{
		"pods and endpoints":    {in: changed(midway(50, weight(50)), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"endpoints only":        {in: changed(midway(50, weight(50)), canaryEndpoints("b", 0)), targets: "Stepping 0: 0% a/b"},
		"pods only":             {in: changed(midway(50, weight(50)), alive("b", 0), canaryEndpoints("b", 2)), targets: "Stepping 0: 0% a/b"},
		"one is left":           {in: changed(midway(50, weight(50)), alive("b", 1)), targets: "Stepping 1: 50% a/b"},
		"headers":               {in: changed(midway(0, headerStep()), headers(true), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"stable has none":       {in: changed(midway(50, weight(50)), alive("b", 0), alive("a", 0)), targets: "Stepping 1: 50% a/b"},
		"at a pause":            {in: changed(midway(50, pause(0)), alive("b", 0)), targets: "Stepping 0: 0% a/b"},
		"while paused":          {in: changed(midway(50, pause(0)), alive("b", 0), func(in *Input) { in.Spec.Paused = true }), targets: "Stepping 0: 0% a/b"},
		"stable Service moved":  {in: changed(promoting(100), stableAt("b"), alive("b", 0)), targets: "Promoting 0: 100% a/b"},
		"moved, weight 0":       {in: changed(promoting(0), stableAt("b"), alive("b", 0)), targets: "Promoting 0: 0% a/b"},
		"moved, one is left":    {in: changed(promoting(100), stableAt("b"), alive("b", 0), canaryEndpoints("b", 1)), targets: "Promoting 0: 100% b/b"},
		"moved, both dead":      {in: changed(promoting(100), stableAt("b"), alive("b", 0), alive("a", 0)), targets: "Promoting 0: 100% b/b"},
		"back, overtaken":       {in: changed(promoting(0), stableAt("b"), goesBack), targets: "Idle 0: 0% b/b"},
		"back, endpoints late":  {in: changed(promoting(100), alive("b", 0), stableEndpoints("", 0)), targets: "Promoting 0: 100% a/b"},
		"back, endpoints there": {in: changed(promoting(100), alive("b", 0)), targets: "Promoting 0: 0% a/b"},
		"selector of another's": {in: changed(midway(50, weight(50)), func(in *Input) { in.Observed.Canary.Revision = "" }, canaryEndpoints("", 2)), targets: "Stepping 1: 50% a/b", actions: []string{pointCanaryToB}},
	} {
		t.Run(name, tc.check)
	}
	fled := Compute(changed(midway(50, weight(50)), alive("b", 0)))
	if mem := fled.Status.Memory; mem.CanaryService.ReadyAt != nil || mem.StepTargets.Weight != 50 {
		t.Errorf("a canary that fled is trusted as before (%v), or forgets its weight (%d)", mem.CanaryService.ReadyAt, mem.StepTargets.Weight)
	}
}

// TestMoveTargetDied checks that a move of the stable Service that was not made yet is revoked when its target revision has
// died: the stable revision is still behind it, and gets the traffic at once.
func TestMoveTargetDied(t *testing.T) {
	decided := memory(func(m *v1alpha1.Memory) { m.StableService = v1alpha1.ServiceMemory{Revision: "b"} })
	foreign := func(in *Input) { in.Prior.Memory.StableRevision, in.Observed.Stable.Revision = "", "" }
	for name, tc := range map[string]planCase{
		"promoting":    {in: changed(promoting(100), decided, alive("b", 0)), targets: "Promoting 0: 0% a/b"},
		"rolling back": {in: changed(rollingBack(100), decided, alive("b", 0)), targets: "RollingBack 0: 0% a/b"},
		"migrating":    {in: changed(promoting(100), decided, alive("b", 0), foreign, stableEndpoints("", 4)), targets: "Promoting 0: 0% /b"},
		"one lives":    {in: changed(promoting(100), decided, alive("b", 1)), targets: "Promoting 0: 100% b/b", actions: []string{`PointService reviews-stable -> "b"`}},
		"both dead":    {in: changed(promoting(100), decided, alive("b", 0), alive("a", 0)), targets: "Promoting 0: 100% b/b", actions: []string{`PointService reviews-stable -> "b"`}},
	} {
		tc.stalled = v1alpha1.ReasonNotStalled
		t.Run(name, tc.check)
	}
}

// TestSickStable checks the edge rule that promote=full promotes the revision that the canary Service serves when stable cannot
// serve.
func TestSickStable(t *testing.T) {
	in := changed(rollingBack(50), alive("a", 0), aborted("b"))
	got := Compute(in)
	if !strings.Contains(got.Status.Message, "annotate canaryrollout reviews canaryrollout.dev/promote=full") {
		t.Errorf("the message does not say what helps: %s", got.Status.Message)
	}
	in.Commands.Promote = ptr.To("full")
	in.Prior = Compute(in).Status
	got = Compute(in)
	planCase{in: in, targets: "Promoting 0: 50% a/b", actions: []string{"RemoveAnnotations canaryrollout.dev/promote"}}.check(t)
	if got.Status.Memory.ForcedRevision != "b" {
		t.Errorf("finishes %q, want b", got.Status.Memory.ForcedRevision)
	}
}
