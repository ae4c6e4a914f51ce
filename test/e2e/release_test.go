// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

// seedSteps are the seed's, with pauses of 3 s instead of 10 s.
func seedSteps() []v1alpha1.Step {
	d := 3 * time.Second
	return []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Weight(10), builder.Pause(d), builder.Weight(20), builder.Pause(d), builder.Weight(40), builder.Pause(d), builder.Weight(60), builder.Pause(d), builder.Weight(100),
	}
}

func (a *app) stable() string {
	a.t.Helper()
	return a.get().Status.Stable.Revision
}

// checkPromoted waits for the end of a release and checks that the new revision serves alone.
func (a *app) checkPromoted(from string) time.Time {
	a.t.Helper()
	at := a.waitForState(v1alpha1.StateHealthy)
	status := a.get().Status
	if status.Stable.Revision == from {
		a.t.Fatalf("revision %s is still stable", from)
	}
	a.checkRoute()
	a.waitForDrain(from)
	return at
}

// waitForDrain waits until a former revision's pods are gone and forgotten, with the requests still coming in.
func (a *app) waitForDrain(revision string) {
	a.t.Helper()
	key := client.ObjectKey{Namespace: a.namespace, Name: "reviews-" + revision}
	a.eventually("revision "+revision+" to drain", func() (bool, string) {
		set, status := &appsv1.ReplicaSet{}, a.get().Status
		if err := admin.Get(a.t.Context(), key, set); err != nil {
			a.t.Fatal(err)
		}
		return *set.Spec.Replicas == 0 && set.Status.Replicas == 0 && len(status.Memory.Draining) == 0, describe(status)
	})
}

func TestSeed(t *testing.T) {
	a := newApp(t, seedSteps()...)
	v1 := a.stable()
	begun := time.Now()
	a.setImage(builder.ImageV2)
	paused := a.waitForPause("3/12")
	v2 := a.get().Status.Canary.Revision
	a.checkHeaderRoute(paused, v2)
	a.checkNever(v2, begun, time.Now())
	a.checkRoute()
	promoted := a.annotate(v1alpha1.PromoteAnnotation, "true")
	healthy := a.checkPromoted(v1)
	t.Logf("promoted to Healthy in %s", healthy.Sub(promoted).Round(time.Second/10))
	a.checkNever(v1, healthy.Add(propagation), time.Now())
	a.checkLoss()
	a.checkShares()
}

// checkHeaderRoute lets the testers' requests come in for a while, and checks where they went.
func (a *app) checkHeaderRoute(since time.Time, canary string) {
	a.t.Helper()
	from := since.Add(propagation)
	a.eventually("requests of testers", func() (bool, string) {
		stats := a.traffic.Window(from, time.Now(), "qa")
		return stats.Sent >= 20, stats.String()
	})
	if stats := a.traffic.Window(from, time.Now(), "qa"); stats.RevisionShare(canary) != 1 {
		a.t.Errorf("requests with role: qa do not all reach the canary: %v", stats.ByRevision)
	}
}

func TestPromoteFull(t *testing.T) {
	a := newApp(t, seedSteps()...)
	v1 := a.stable()
	a.setImage(builder.ImageV2)
	a.waitForPause("3/12")
	a.annotate(v1alpha1.PromoteAnnotation, "full")
	healthy := a.checkPromoted(v1)
	a.checkNever(v1, healthy.Add(propagation), time.Now())
	a.checkLoss()
}

// checkAborted waits until an abort is through and checks that the canary gets nothing any more.
func (a *app) checkAborted(canary string, asked time.Time) {
	a.t.Helper()
	a.waitForState(v1alpha1.StateAborted)
	a.waitForDrain(canary)
	a.traffic.Stop()
	last := time.Time{}
	for _, result := range a.traffic.Results(func(r load.Result) bool { return r.Revision == canary }) {
		if result.Start.After(last) {
			last = result.Start
		}
	}
	a.t.Logf("the last request that reached the canary was sent %s after the abort", last.Sub(asked).Round(time.Millisecond))
	a.checkRoute()
	a.checkLoss()
}

func TestAbortAt40(t *testing.T) {
	a := newApp(t, seedSteps()...)
	v1 := a.stable()
	a.setImage(builder.ImageV2)
	a.waitForPause("3/12")
	a.annotate(v1alpha1.PromoteAnnotation, "true")
	a.waitForPause("9/12")
	canary := a.get().Status.Canary.Revision
	asked := a.annotate(v1alpha1.AbortAnnotation, "too many errors")
	a.checkAborted(canary, asked)
	if got := a.stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.checkShares()
}

func TestAbortInPromotion(t *testing.T) {
	a := newApp(t, builder.Hold())
	v1 := a.stable()
	a.setImage(builder.ImageV2)
	a.waitForPause("1/1")
	a.annotate(v1alpha1.PromoteAnnotation, "full")
	a.waitFor("the stable Service to move", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory.StableService.Revision == s.Memory.CurrentRevision && s.Memory.StableService.ReadyAt != nil
	})
	canary := a.get().Status.Canary.Revision
	asked := a.annotate(v1alpha1.AbortAnnotation, "true")
	a.checkAborted(canary, asked)
	if got := a.stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
}

func TestRollbackByReapply(t *testing.T) {
	a := newApp(t, builder.Scale(1), builder.Weight(40), builder.Hold())
	v1 := a.stable()
	a.setImage(builder.ImageV2)
	a.waitForPause("3/3")
	canary := a.get().Status.Canary.Revision
	a.setImage(builder.ImageV1)
	healthy := a.waitForState(v1alpha1.StateHealthy)
	a.waitForDrain(canary)
	if got := a.stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.checkNever(canary, healthy, time.Now())
	a.checkRoute()
	a.checkLoss()
}

func TestCanaryNeverReady(t *testing.T) {
	a := newApp(t, builder.Weight(40), builder.Hold())
	v1 := a.stable()
	begun := time.Now()
	a.patch(`{"spec":{"progressDeadlineSeconds":5}}`)
	a.setTemplate(builder.ImageV2, cluster.NeverReady, "true")
	a.waitForState(v1alpha1.StateDegraded)
	canary := a.get().Status.Canary.Revision
	a.annotate(v1alpha1.AbortAnnotation, "never ready")
	a.waitForState(v1alpha1.StateAborted)
	a.waitForDrain(canary)
	a.checkNever(canary, begun, time.Now())
	if got := a.stable(); got != v1 {
		t.Errorf("stable is %s, want %s", got, v1)
	}
	a.checkRoute()
	a.checkLoss()
}
