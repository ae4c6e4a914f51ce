// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestSlowPods has pods that take 20 s to become ready: the canary gets no requests before that.
func TestSlowPods(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Hold()}})
	stable, begun := a.Stable(), time.Now()
	a.SetTemplate(builder.ImageV2, cluster.ReadyAfter, "20s")
	written := a.WaitFor("weight 40", func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.Traffic.Weight == 40 })
	if took := written.Sub(begun); took < 20*time.Second {
		t.Errorf("weight 40 was asked for %s after the template, before a pod could be ready", took)
	}
	a.WaitForPause("3/3")
	a.CheckNever(a.Get().Status.Canary.Revision, begun, begun.Add(20*time.Second))
	a.Annotate(v1alpha1.AbortAnnotation, "seen enough")
	a.WaitForState(v1alpha1.StateAborted)
	if got := a.Stable(); got != stable {
		t.Errorf("stable is %s, want %s", got, stable)
	}
	a.CheckLoss()
}
