// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// stage is a moment of a release, identified by the published status.
type stage struct {
	name  string
	isNow func(v1alpha1.CanaryRolloutStatus) bool
}

// heldAt is the step at which the release below waits for a promote.
const heldAt = "3/6"

func stepsOfAll() []v1alpha1.Step {
	return []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Weight(20), builder.Pause(time.Second), builder.Weight(60),
	}
}

// stages are every step of that release, each stage of its promotion (T8), and the time after it.
func stages() []stage {
	stepping := func(step string, weight int32, verified bool) func(v1alpha1.CanaryRolloutStatus) bool {
		return func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.Memory != nil && s.Memory.Phase == v1alpha1.PhaseStepping && s.Step == step && s.Memory.Traffic.Weight == weight &&
				(s.Memory.Traffic.VerifiedAt != nil) == verified
		}
	}
	promoting := func(isNow func(m *v1alpha1.Memory, moved, verified bool) bool) func(v1alpha1.CanaryRolloutStatus) bool {
		return func(s v1alpha1.CanaryRolloutStatus) bool {
			m := s.Memory
			return m != nil && m.Phase == v1alpha1.PhasePromoting && m.StableRevision != "" &&
				isNow(m, m.StableService.Revision == m.CurrentRevision, m.Traffic.VerifiedAt != nil)
		}
	}
	return []stage{
		{"scale", stepping("1/6", 0, true)},
		{"header-written", stepping("2/6", 0, false)},
		{"held", func(s v1alpha1.CanaryRolloutStatus) bool { return s.State == v1alpha1.StatePaused && s.Step == heldAt }},
		{"weight-20-written", stepping("4/6", 20, false)},
		{"weight-20-pause", stepping("5/6", 20, true)},
		{"weight-60-written", stepping("6/6", 60, false)},
		{"growing", promoting(func(m *v1alpha1.Memory, _, _ bool) bool { return m.Traffic.Weight == 60 })},
		{"weight-100-written", promoting(func(m *v1alpha1.Memory, moved, verified bool) bool {
			return m.Traffic.Weight == 100 && !moved && !verified
		})},
		{"weight-100-verified", promoting(func(m *v1alpha1.Memory, moved, verified bool) bool {
			return m.Traffic.Weight == 100 && !moved && verified
		})},
		{"service-moves", promoting(func(m *v1alpha1.Memory, moved, _ bool) bool { return moved && m.StableService.ReadyAt == nil })},
		{"service-moved", promoting(func(m *v1alpha1.Memory, moved, _ bool) bool {
			return moved && m.StableService.ReadyAt != nil && m.Traffic.Weight == 100
		})},
		{"weight-0-written", promoting(func(m *v1alpha1.Memory, moved, verified bool) bool {
			return moved && m.Traffic.Weight == 0 && !verified
		})},
		{"committed", func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.State == v1alpha1.StateHealthy && s.Images == builder.ImageV2
		}},
	}
}

// TestThirdVersion applies a third version at every stage of a release; TestStableAgain the stable one. At the stages
// with a header route, Argo Rollouts left it in place while the canary Service selected pods that did not answer yet:
// testers got a 503 (argo-rollouts#3617).
func TestThirdVersion(t *testing.T) { atEveryStage(t, builder.ImageV3) }
func TestStableAgain(t *testing.T)  { atEveryStage(t, builder.ImageV1) }

// atEveryStage applies an image at every stage of a release of version 2. It must become or remain stable, and
// nothing else may be left.
func atEveryStage(t *testing.T, image string) {
	t.Parallel()
	for _, stage := range stages() {
		t.Run(stage.name, func(t *testing.T) {
			t.Parallel()
			a := harness.Start(t, env, harness.Options{Steps: stepsOfAll(), Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
				r.Spec.ScaleDownDelaySeconds = ptr.To[int32](0)
			}})
			a.SetImage(builder.ImageV2)
			passOn(a, "the stage "+stage.name, stage.isNow)
			v2 := a.Get().Status.Memory.CurrentRevision
			a.SetImage(image)
			passOn(a, image+" to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.State == v1alpha1.StateHealthy && s.Images == image && s.ObservedGeneration == a.Get().Generation
			})
			a.WaitForDrain(v2)
			drained := time.Now()
			if memory := a.Get().Status.Memory; memory.StableRevision != a.RevisionOf(image) || memory.Traffic.Weight != 0 {
				t.Errorf("revision %s is stable with weight %d", memory.StableRevision, memory.Traffic.Weight)
			}
			a.Answers(20)
			a.CheckNever(v2, drained, time.Now())
			a.CheckRoute()
			a.CheckLoss()
		})
	}
}

// passOn waits for a status, and promotes what is paused on the way.
func passOn(a *harness.App, what string, isNow func(v1alpha1.CanaryRolloutStatus) bool) {
	promoted := ""
	for done := false; !done; {
		a.WaitFor(what, func(s v1alpha1.CanaryRolloutStatus) bool {
			done = isNow(s)
			return done || s.State == v1alpha1.StatePaused && s.Step == heldAt && s.Canary != nil && s.Canary.Revision != promoted
		})
		if !done {
			// Only this revision, at this step: another one may be paused by now.
			promoted = a.Get().Status.Memory.CurrentRevision
			a.Annotate(v1alpha1.PromoteAnnotation, promoted+"/3")
		}
	}
}
