// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestDyingCanary makes all pods of the canary fail at 40 %: stable gets all traffic at once, and the canary gets its
// share back when its pods recover.
func TestDyingCanary(t *testing.T) {
	a := parallelApp(t, builder.Scale(1), builder.Weight(40), builder.Hold())
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/3")
	canary := a.Get().Status.Canary.Revision
	died := a.Fail(canary, "true")
	rerouted := a.WaitFor("weight 0", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Traffic.DesiredWeight == 0 && s.Memory.Traffic.VerifiedAt != nil
	})
	t.Logf("weight 0 was verified %s after the pods died", rerouted.Sub(died).Round(time.Millisecond))
	a.Fail(canary, "false")
	back := a.WaitFor("weight 40 again", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Traffic.DesiredWeight == 40 && s.Memory.Traffic.VerifiedAt != nil
	})
	a.CheckNever(canary, died.Add(time.Second), back.Add(-time.Second))
	a.CheckRoute()
	a.Annotate(v1alpha1.AbortAnnotation, "true")
	a.WaitForState(v1alpha1.StateAborted)
	a.CheckLoss(harness.Killed(canary, died))
}
