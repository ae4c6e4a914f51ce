// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestFailOverInBake: when the new revision dies during its bake, the former one serves again. What it answers says nothing about
// the new one, the bake is not ended by another template, and it starts again with the next promotion.
func TestFailOverInBake(t *testing.T) {
	dead := func(in *Input) {
		for _, service := range []*Service{&in.Observed.Stable, &in.Observed.Canary} {
			for i := range service.Endpoints {
				service.Endpoints[i].Ready = 0
			}
		}
		for i := range in.Observed.ReplicaSets {
			if rs := &in.Observed.ReplicaSets[i]; rs.Revision == "b" {
				rs.Ready, rs.Available = 0, 0
			}
		}
	}
	for name, change := range map[string]change{"alone": func(*Input) {}, "with another template": template("c")} {
		t.Run(name, func(t *testing.T) {
			in := changed(baking(dead), change)
			got := Compute(in).Status.Memory
			if got.StableRevision != "a" || got.StableService.Revision != "a" || got.Bake != (v1alpha1.BakeMemory{}) {
				t.Fatalf("%s, stable %s, %+v", targets(got), got.StableRevision, got.Bake)
			}
			in.Prior.Memory = got
			stableAt("a")(&in)
			again := Compute(in)
			if len(wantedOf(again)) > 0 {
				t.Errorf("measures %v", wantedOf(again))
			}
			if m := again.Status.Memory; name != "alone" && m.Phase != v1alpha1.PhaseRollingBack {
				t.Errorf("another template does not supersede: %s", targets(m))
			}
		})
	}
}

// TestPausedBake: spec.paused holds a bake, also if there is another template: it could not start either.
func TestPausedBake(t *testing.T) {
	in := baking(template("c"), func(in *Input) { in.Spec.Paused = true })
	if got := Compute(in).Status.Memory; got.StableRevision != "a" || !(view{in: &in, mem: got}).isBaking() {
		t.Errorf("%s with stable %s", targets(got), got.StableRevision)
	}
	in.Spec.Paused = false
	if got := Compute(in).Status.Memory; got.StableRevision != "b" {
		t.Errorf("%s with stable %s", targets(got), got.StableRevision)
	}
}

// TestFailureBeforeNextTemplate: a metric that fails in a bake rolls the release back, also when another template is there to end
// the bake. That template is released next, and is not aborted.
func TestFailureBeforeNextTemplate(t *testing.T) {
	for name, change := range map[string]change{"at once": nothing, "held by spec.paused": func(in *Input) { in.Spec.Paused = true }} {
		t.Run(name, func(t *testing.T) {
			in := baking(background(fastMetric(3, 0)), change)
			next(&in, time.Minute, ends(OutcomeBad))
			template("c")(&in)
			got := Compute(in).Status.Memory
			if got.Phase != v1alpha1.PhaseRollingBack || got.StableRevision != "a" || got.AbortedRevision != "b" {
				t.Errorf("%s with stable %s", targets(got), got.StableRevision)
			}
		})
	}
}

// TestWeightOfAbortedBake: while an abort leaves a bake, the aborted revision still serves all traffic.
func TestWeightOfAbortedBake(t *testing.T) {
	in, plan := passes(baking(command("abort=true")), 1, time.Second)
	in.Commands = Commands{}
	if got := plan.Status.Weight; got != "100" {
		t.Errorf("the weight is %s", got)
	}
	if got := changed(idle(), template("b"), aborted("b")); Compute(got).Status.Weight != "0" {
		t.Errorf("an aborted revision that is not in flight has weight %s", Compute(got).Status.Weight)
	}
}
