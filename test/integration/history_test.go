// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// checkHistory compares outcome and image of the releases, newest first.
func (a *app) checkHistory(want ...string) {
	a.t.Helper()
	var got []string
	for _, entry := range a.rollout().Status.History {
		got = append(got, fmt.Sprintf("%s %s", entry.Outcome, entry.Images))
		isOver := entry.Outcome != v1alpha1.OutcomeInProgress
		if entry.Revision == "" || entry.StartedAt == nil || isOver != (entry.EndedAt != nil) {
			a.t.Errorf("a release without revision, start or end: %+v", entry)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("history (-want +got):\n%s", diff)
	}
}

// TestHistory has a release with each outcome.
func TestHistory(t *testing.T) {
	const one, two, three = builder.ImageV1, builder.ImageV2, builder.ImageV3
	a := paused(t, "1/1", builder.Hold())
	a.checkHistory("InProgress "+two, "Promoted "+one)
	a.setImage(three)
	a.waitFor("the pause of version 3", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && r.Status.Images == one+" -> "+three
	})
	a.checkHistory("InProgress "+three, "Superseded "+two, "Promoted "+one)
	a.annotate(v1alpha1.AbortAnnotation, "slow")
	a.waitForState(v1alpha1.StateAborted)
	if entry := a.rollout().Status.History[0]; entry.Message != "slow" {
		t.Errorf("the aborted release says %q", entry.Message)
	}
	a.setImage(two)
	a.waitForState(v1alpha1.StatePaused)
	a.setImage(one)
	a.waitForState(v1alpha1.StateHealthy)
	a.checkHistory("Reverted "+two, "Aborted "+three, "Superseded "+two, "Promoted "+one)
	a.waitForEvent("Normal", "RevisionReverted", "applied again")
	a.waitForEvent("Normal", "RevisionSuperseded", "is superseded by")
}

// TestHistoryIsBounded releases a dozen times, with replicas 0 for speed, because a template then becomes stable at
// once. Ten releases are kept, and in addition to the stable ReplicaSet as many others as revisionHistoryLimit
// allows.
func TestHistoryIsBounded(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().Replicas(0).HistoryLimit(2).Steps(builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	for i := range 11 {
		image := fmt.Sprintf("reviews:%d", i)
		a.setImage(image)
		a.waitForStable(image)
	}
	if history := a.rollout().Status.History; len(history) != 10 || history[0].Images != "reviews:10" || history[9].Images != "reviews:1" {
		t.Errorf("history has %d releases: %+v", len(history), history)
	}
	a.within(patience, "three ReplicaSets", func() (bool, string) {
		list := &appsv1.ReplicaSetList{}
		if err := env.Admin.List(t.Context(), list, client.InNamespace(a.namespace)); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == 3, fmt.Sprint(len(list.Items))
	})
}
