// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// bookinfoSteps are the steps of the bookinfo sample, with pauses of 3 s instead of 10 s.
func bookinfoSteps() []v1alpha1.Step {
	d := 3 * time.Second
	return []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Weight(10), builder.Pause(d), builder.Weight(20), builder.Pause(d), builder.Weight(40), builder.Pause(d), builder.Weight(60), builder.Pause(d), builder.Weight(100),
	}
}

// TestBookinfo releases the bookinfo sample. It counts the operator's requests for the release, and at rest while another
// rollout is aborted repeatedly, for which there must be none.
func TestBookinfo(t *testing.T) {
	a := harness.New(t, env, bookinfoSteps()...)
	v1 := a.Stable()
	begun := time.Now()
	a.SetImage(builder.ImageV2)
	paused := a.WaitForPause("3/12")
	v2 := a.Get().Status.Canary.Revision
	a.CheckHeaderRoute(paused, v2)
	a.CheckNever(v2, begun, time.Now())
	a.CheckRoute()
	promoted := a.Annotate(v1alpha1.PromoteAnnotation, "true")
	healthy := a.CheckPromoted(v1)
	t.Logf("promoted to Healthy in %s", healthy.Sub(promoted).Round(time.Second/10))
	a.CheckLeft(v1)
	a.CheckLoss()
	a.CheckShares()
	checkCost(t, a, begun)
	resting := time.Now()
	if t.Run("AbortLatency", abortLatency) {
		checkIdle(t, resting, "bookinfo-abortlatency")
	}
}

func TestPromoteFull(t *testing.T) {
	a := parallelApp(t, bookinfoSteps()...)
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/12")
	a.Annotate(v1alpha1.PromoteAnnotation, "full")
	healthy := a.CheckPromoted(v1)
	a.CheckNever(v1, healthy.Add(harness.Settle), time.Now())
	a.CheckLoss()
}

func TestAbortAt40(t *testing.T) {
	a := parallelApp(t, bookinfoSteps()...)
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/12")
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.WaitForPause("9/12")
	canary := a.Get().Status.Canary.Revision
	asked := a.Annotate(v1alpha1.AbortAnnotation, "too many errors")
	a.CheckAborted(canary, asked)
	if got := a.Stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.CheckShares()
}

// TestAbortInPromotion: an abort overrides a full promotion until that is complete. Argo Rollouts ignores it
// (argo-rollouts#4461).
func TestAbortInPromotion(t *testing.T) {
	a := parallelApp(t, builder.Hold())
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("1/1")
	a.Annotate(v1alpha1.PromoteAnnotation, "full")
	a.WaitFor("the stable Service to move", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory.StableService.Revision == s.Memory.CurrentRevision && s.Memory.StableService.ReadyAt != nil
	})
	canary := a.Get().Status.Canary.Revision
	asked := a.Annotate(v1alpha1.AbortAnnotation, "true")
	a.CheckAborted(canary, asked)
	if got := a.Stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
}

func TestRollbackByReapply(t *testing.T) {
	a := parallelApp(t, builder.Scale(1), builder.Weight(40), builder.Hold())
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/3")
	canary := a.Get().Status.Canary.Revision
	a.SetImage(builder.ImageV1)
	healthy := a.WaitForState(v1alpha1.StateHealthy)
	a.WaitForDrain(canary)
	if got := a.Stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.CheckNever(canary, healthy, time.Now())
	a.CheckRoute()
	a.CheckLoss()
}

// TestCanaryNeverReady: the deadline passes, the abort is carried out, and the pods are removed. In Argo Rollouts,
// the deadline did not fire, the abort had no effect, and the bad pods stayed (argo-rollouts#4128, #1593).
func TestCanaryNeverReady(t *testing.T) {
	a := parallelApp(t, builder.Weight(40), builder.Hold())
	v1 := a.Stable()
	begun := time.Now()
	a.Patch(`{"spec":{"progressDeadlineSeconds":5}}`)
	a.SetTemplate(builder.ImageV2, cluster.NeverReady, "true")
	a.WaitForState(v1alpha1.StateDegraded)
	canary := a.Get().Status.Canary.Revision
	a.Annotate(v1alpha1.AbortAnnotation, "never ready")
	a.WaitForState(v1alpha1.StateAborted)
	a.WaitForDrain(canary)
	a.CheckNever(canary, begun, time.Now())
	if got := a.Stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.CheckRoute()
	a.CheckLoss()
}
