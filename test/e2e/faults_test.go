// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// fail lets all running pods of a revision fail, or takes that back, and says when that was done.
func (a *app) fail(revision, value string) time.Time {
	a.t.Helper()
	list := &corev1.PodList{}
	err := admin.List(a.t.Context(), list, client.InNamespace(a.namespace), client.MatchingLabels{v1alpha1.RevisionLabel: revision})
	if err != nil {
		a.t.Fatal(err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		patch := client.MergeFrom(pod.DeepCopy())
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[cluster.Fail] = value
		if err := admin.Patch(a.t.Context(), pod, patch); err != nil {
			a.t.Fatal(err)
		}
	}
	return time.Now()
}

// TestDyingCanary lets every pod of the canary fail at 40 %: stable gets all traffic at once, and the canary its share
// back when its pods are.
func TestDyingCanary(t *testing.T) {
	a := newApp(t, builder.Scale(1), builder.Weight(40), builder.Hold())
	a.setImage(builder.ImageV2)
	a.waitForPause("3/3")
	canary := a.get().Status.Canary.Revision
	died := a.fail(canary, "true")
	fled := a.waitFor("weight 0", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Traffic.DesiredWeight == 0 && s.Memory.Traffic.VerifiedAt != nil
	})
	t.Logf("weight 0 was verified %s after the pods died", fled.Sub(died).Round(time.Millisecond))
	a.fail(canary, "false")
	back := a.waitFor("weight 40 again", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Traffic.DesiredWeight == 40 && s.Memory.Traffic.VerifiedAt != nil
	})
	a.checkNever(canary, died.Add(time.Second), back.Add(-time.Second))
	a.checkRoute()
	a.annotate(v1alpha1.AbortAnnotation, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.checkLoss(died)
}
