// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// TestStepsEdited: when steps are edited in mid-canary, they restart with the same revision, and weight and scale
// stay until the new steps change them.
func TestStepsEdited(t *testing.T) {
	a := paused(t, "3/3", builder.Scale(2), builder.Weight(50), builder.Hold())
	canary := a.rollout().Status.Revision
	pods := a.podsOf(canary)
	a.patch(`{"spec":{"steps":[{"pause":{}},{"setWeight":80},{"pause":{}}]}}`)
	rollout := a.waitForStep(v1alpha1.StatePaused, "1/3")
	if s := rollout.Status; s.Revision != canary || s.Weight != "50" {
		t.Errorf("weight or revision moved: %s", describe(rollout))
	}
	a.barrier()
	a.checkTraffic("50/50")
	if now := a.podsOf(canary); len(pods) != 2 || !maps.Equal(pods, now) {
		t.Errorf("the canary's pods were %v, and are %v", pods, now)
	}
	a.waitForEvent("Normal", "StepsChanged", "starts over at step 1")
	a.annotate(promote, "true")
	a.waitForStep(v1alpha1.StatePaused, "3/3")
	a.checkTraffic("20/80")
}

// waitForPods waits for the available pods of each revision.
func (a *app) waitForPods(stable, canary int32) {
	a.t.Helper()
	a.waitFor(fmt.Sprintf("%d and %d pods", stable, canary), func(r *v1alpha1.CanaryRollout) bool {
		s, c := r.Status.Stable, r.Status.Canary
		return s.Available == stable && s.Replicas == stable && s.Desired == stable &&
			c.Available == canary && c.Replicas == canary && c.Desired == canary
	})
}

// scale scales through the scale subresource, as a user does.
func (a *app) scale(replicas int) {
	a.t.Helper()
	a.kubectl("scale", "cro/reviews", fmt.Sprintf("--replicas=%d", replicas))
	a.wrote(a.rollout())
}

// TestScaledInMidCanary: both revisions are scaled at once, up and down, and the step does not change.
func TestScaledInMidCanary(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	for _, replicas := range []int32{4, 2} {
		a.scale(int(replicas))
		a.waitForPods(replicas, replicas/2)
		if s := a.rollout().Status; s.State != v1alpha1.StatePaused || s.Step != "2/2" || s.Weight != "50" {
			t.Errorf("with %d replicas: %s", replicas, describe(a.rollout()))
		}
	}
	a.checkTraffic("50/50")
}

// TestAbortedCanaryNeverGrows: replicas then only apply to stable.
func TestAbortedCanaryNeverGrows(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().ScaleDownDelay(600).Steps(builder.Weight(50), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	canary := a.waitForState(v1alpha1.StatePaused).Status.Revision
	a.annotate(abort, "true")
	stable := a.waitForState(v1alpha1.StateAborted).Status.Stable.Revision
	a.checkSelects("reviews-canary", stable)
	before := a.userObjects()
	a.scale(4)
	a.waitFor("4 stable pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Stable.Available == 4 })
	if pods := a.podsOf(canary); len(pods) != 1 {
		t.Errorf("the aborted canary has %d pods, want its one", len(pods))
	}
	if after := a.userObjects(); after != before {
		t.Errorf("Services or route were written:\nwas %s\nis  %s", before, after)
	}
}

// TestScaledToZero: both revisions are scaled to zero and the steps hold; scaled up again, the rollout is back where
// it was.
func TestScaledToZero(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	a.scale(0)
	a.waitForPods(0, 0)
	rollout := a.barrier()
	if rollout.Status.Step != "2/2" || rollout.Status.Canary == nil {
		t.Errorf("the steps did not hold: %s", describe(rollout))
	}
	a.scale(2)
	a.waitForPods(2, 1)
	a.waitFor("the pause again with all traffic as before", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && r.Status.Step == "2/2" && r.Status.Weight == "50"
	})
	a.checkTraffic("50/50")
}

// TestTemplateAtZero: without pods, a new template becomes stable without steps.
func TestTemplateAtZero(t *testing.T) {
	a := deployed(t, builder.Hold())
	a.scale(0)
	a.waitFor("no pods", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StateHealthy && r.Status.Ready == "0/0" && r.Status.Replicas == 0
	})
	a.setImage(builder.ImageV2)
	a.waitForStable(builder.ImageV2)
	a.scale(2)
	rollout := a.waitFor("2 pods", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StateHealthy && r.Status.Ready == "2/2"
	})
	a.checkSelects("reviews-stable", rollout.Status.Stable.Revision)
}

// TestScaleSelector: the scale subresource counts the stable pods, as spec.replicas does, and selects the pods of all
// revisions, so that an autoscaler sees the full load.
func TestScaleSelector(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	s := a.rollout().Status
	output := a.kubectl("get", "cro/reviews", "--subresource=scale", "-o=jsonpath={.spec.replicas} {.status.replicas} {.status.selector}")
	if want := "2 2 app=reviews"; output != want {
		t.Errorf("the scale subresource says %q, want %q", output, want)
	}
	covered, of := a.pods(s.Selector), a.podsOf(s.Stable.Revision)
	maps.Copy(of, a.podsOf(s.Canary.Revision))
	if len(of) != 3 || !maps.Equal(covered, of) {
		t.Errorf("the selector covers %v, the pods are %v", covered, of)
	}
}

// TestColumns checks what kubectl get shows in mid-canary.
func TestColumns(t *testing.T) {
	a := paused(t, "2/3", builder.Weight(50), builder.Hold(), builder.Weight(100))
	revision := a.rollout().Status.Revision
	output := squeeze(a.kubectl("get", "cro", "reviews"))
	if want := "NAME STATUS STEP WEIGHT REVISION READY AGE\nreviews Paused 2/3 50 " + revision + " 3/3 "; !strings.HasPrefix(output, want) {
		t.Errorf("kubectl get cro says\n%s\nwant\n%s", output, want)
	}
	wide := squeeze(a.kubectl("get", "cro", "reviews", "-o", "wide"))
	if !strings.Contains(wide, " AGE MESSAGE IMAGES\n") || !strings.Contains(wide, " paused until promoted: kubectl ") ||
		!strings.HasSuffix(wide, builder.ImageV1+" -> "+builder.ImageV2) {
		t.Errorf("kubectl get cro -o wide says\n%s", wide)
	}
}
