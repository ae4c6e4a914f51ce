// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// at40 returns a release of version 2 that is paused at 40 %.
func at40(t *testing.T, edit func(*v1alpha1.CanaryRollout)) (a *harness.App, stable, canary string) {
	t.Helper()
	a = harness.Start(t, env, harness.Options{Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}, Rate: rate, Edit: edit})
	a.SetImage(builder.ImageV2)
	a.WaitForPause("2/2")
	return a, a.Stable(), a.Get().Status.Canary.Revision
}

// promoteHeld promotes a paused release and waits until it is stable.
func promoteHeld(a *harness.App, stable string, excuses ...harness.Excuse) {
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(stable)
	a.CheckLoss(excuses...)
}

// TestStepsEdited restarts the release at the new first step. The weight does not change until a step changes it.
func TestStepsEdited(t *testing.T) {
	t.Parallel()
	a, stable, canary := at40(t, nil)
	edited := time.Now()
	a.Patch(`{"spec":{"steps":[{"pause":{}},{"setWeight":70},{"pause":{}}]}}`)
	a.WaitForPause("1/3")
	if s := a.Get().Status; s.Canary.Revision != canary || s.Memory.Traffic.Weight != 40 {
		t.Errorf("revision %s at weight %d, want %s at 40", s.Canary.Revision, s.Memory.Traffic.Weight, canary)
	}
	for _, moment := range a.Moments() {
		if moment.At.After(edited) && moment.Status.Memory.Traffic.Weight < 40 {
			t.Fatalf("the weight fell to %d", moment.Status.Memory.Traffic.Weight)
		}
	}
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.WaitForPause("3/3")
	if weight := a.Get().Status.Memory.Traffic.VerifiedWeight; weight != 70 {
		t.Errorf("verified weight %d, want 70", weight)
	}
	promoteHeld(a, stable)
}

// TestReplicasChanged scales up, down, to zero and back in mid-canary. At zero, nothing answers until stable is back.
// Pods that are scaled down must live until the gateway has noticed, for which they have a grace period.
func TestReplicasChanged(t *testing.T) {
	t.Parallel()
	a, stable, canary := at40(t, func(r *v1alpha1.CanaryRollout) {
		builder.GracePeriod(r, 5)
	})
	size := func(stablePods, canaryPods int32) {
		t.Helper()
		a.Eventually("pods of both revisions", func() (bool, string) {
			return a.Available(stable) == stablePods && a.Available(canary) == canaryPods, a.Describe()
		})
	}
	a.Patch(`{"spec":{"replicas":8}}`)
	size(8, 4)
	a.Patch(`{"spec":{"replicas":2}}`)
	size(2, 1)
	a.CheckNoLoss()
	gone := time.Now()
	a.Patch(`{"spec":{"replicas":0}}`)
	size(0, 0)
	a.Patch(`{"spec":{"replicas":4}}`)
	size(4, 2)
	a.WaitFor("weight 40 again", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StatePaused && s.Memory.Traffic.VerifiedWeight == 40 && s.Memory.Traffic.VerifiedAt != nil
	})
	back := time.Now().Add(harness.Settle) // the gateway learns of endpoints after the release does
	a.Answers(20)
	promoteHeld(a, stable, harness.Excuse{From: gone, To: back})
}

// TestTwiceInASecond applies two templates at once. Only the last one counts.
func TestTwiceInASecond(t *testing.T) {
	t.Parallel()
	for name, images := range map[string][2]string{
		"forward": {builder.ImageV2, builder.ImageV3},
		"back":    {builder.ImageV2, builder.ImageV1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := harness.Start(t, env, harness.Options{Steps: []v1alpha1.Step{builder.Weight(40)}, Rate: rate})
			a.SetImage(images[0])
			a.SetImage(images[1])
			a.WaitFor(images[1]+" to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.State == v1alpha1.StateHealthy && s.Images == images[1] && s.ObservedGeneration == a.Get().Generation
			})
			a.CheckRoute()
			a.CheckLoss()
		})
	}
}

// TestReturnWithinASecond replaces version 2 with version 3 in mid-canary, and returns to it within a second.
func TestReturnWithinASecond(t *testing.T) {
	t.Parallel()
	a, stable, canary := at40(t, nil)
	a.SetImage(builder.ImageV3)
	a.SetImage(builder.ImageV2)
	a.WaitFor("version 2 at its pause again", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StatePaused && s.Canary != nil && s.Canary.Revision == canary && s.ObservedGeneration == a.Get().Generation
	})
	promoteHeld(a, stable)
}
