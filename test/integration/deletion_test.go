// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// deletionBound is the maximum duration of a deletion that has everything it needs.
const deletionBound = 20 * time.Second

// deleteRollout deletes the rollout as kubectl does, and waits until it is gone.
func (a *app) deleteRollout(cascade string) {
	a.t.Helper()
	a.kubectl("delete", "cro", a.name, "--cascade="+cascade, "--wait=false")
	begun := time.Now()
	if took := a.waitUntilGone().Sub(begun); took > deletionBound {
		a.t.Errorf("the deletion took %s", took.Round(time.Second/10))
	}
}

// checkHandedBack reports an error if the Services and the route are not back in the user's own state.
func (a *app) checkHandedBack() {
	a.t.Helper()
	a.checkSelects("reviews-stable", "")
	a.checkSelects("reviews-canary", "")
	a.checkTraffic("100/0")
}

func (a *app) waitForNoPods() {
	a.t.Helper()
	a.within(patience, "the pods to go", func() (bool, string) {
		left := a.pods("app=reviews")
		return len(left) == 0, fmt.Sprint(left)
	})
}

// TestDeletion in mid-canary returns traffic to stable and deletes all pods, with background and foreground deletion.
func TestDeletion(t *testing.T) {
	t.Parallel()
	for _, cascade := range []string{"background", "foreground"} {
		t.Run(cascade, func(t *testing.T) {
			a := paused(t, "3/3", builder.HeaderRoute("qa", "role", "qa"), builder.Weight(50), builder.Hold())
			a.deleteRollout(cascade)
			a.checkHandedBack()
			a.waitForNoPods()
		})
	}
}

// TestOrphaning in mid-canary leaves the stable ReplicaSet serving with its existing pods, selected by the user's own
// selectors. When the same rollout is created again, it adopts the ReplicaSet, and no pod restarts.
func TestOrphaning(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	stable := a.rollout().Status.Stable.Revision
	pods := a.podsOf(stable)
	a.deleteRollout("orphan")
	a.checkHandedBack()
	if now := a.pods("app=reviews"); len(pods) != 2 || !maps.Equal(now, pods) {
		t.Errorf("the stable pods were %v, and now there are %v", pods, now)
	}
	a.checkOwner("")
	a.deploy(a.make().Steps(builder.Weight(50), builder.Hold()))
	rollout := a.waitForState(v1alpha1.StateHealthy)
	if now := a.pods("app=reviews"); !maps.Equal(now, pods) || rollout.Status.Stable.Revision != stable {
		t.Errorf("adopted pods were %v, and are %v: %s", pods, now, describe(rollout))
	}
	a.checkOwner("CanaryRollout/reviews")
	a.checkSelects("reviews-stable", stable)
	a.waitForEvent("Normal", "RevisionAdopted", stable)
}

// checkOwner compares the controller of the ReplicaSets that have pods.
func (a *app) checkOwner(want string) {
	a.t.Helper()
	list := &appsv1.ReplicaSetList{}
	if err := env.Admin.List(a.t.Context(), list, client.InNamespace(a.namespace)); err != nil {
		a.t.Fatal(err)
	}
	for i := range list.Items {
		got := ""
		if owner := metav1.GetControllerOf(&list.Items[i]); owner != nil {
			got = owner.Kind + "/" + owner.Name
		}
		if *list.Items[i].Spec.Replicas > 0 && got != want {
			a.t.Errorf("ReplicaSet %s is owned by %q, want %q", list.Items[i].Name, got, want)
		}
	}
}

// TestDeletionWithoutObjects: missing objects never block a deletion.
func TestDeletionWithoutObjects(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	a.delete("reviews", &gatewayv1.HTTPRoute{})
	a.delete("reviews-stable", &corev1.Service{})
	a.delete("reviews-canary", &corev1.Service{})
	a.waitFor("the loss", func(r *v1alpha1.CanaryRollout) bool { return conditionsOf(r)["TrafficRouted"] != "True Verified" })
	begun := time.Now()
	a.kubectl("delete", "cro", "reviews", "--wait=false")
	a.within(100*time.Second, "the rollout to go", func() (bool, string) {
		err := env.Admin.Get(t.Context(), a.key("reviews"), &v1alpha1.CanaryRollout{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	if took := time.Since(begun); took > deletionBound {
		t.Errorf("the deletion took %s: missing objects must not block it", took.Round(time.Second/10))
	}
}

// TestDeletionOfNamespace in mid-canary: the rollout removes its finalizer as soon as the namespace controller
// deletes it, and the namespace is deleted.
func TestDeletionOfNamespace(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	a.kubectl("delete", "namespace", a.namespace, "--wait=false")
	asked := a.waitForPublication("the rollout's deletion", func(published publication) bool {
		return published.rollout.DeletionTimestamp != nil
	}).at
	if took := a.waitUntilGone().Sub(asked); took > 5*time.Second {
		t.Errorf("the rollout was gone after %s", took.Round(time.Second/10))
	}
	took := a.within(90*time.Second, "the namespace to go", func() (bool, string) {
		namespace := &corev1.Namespace{}
		err := env.Admin.Get(t.Context(), client.ObjectKey{Name: a.namespace}, namespace)
		return apierrors.IsNotFound(err), fmt.Sprint(namespace.Status.Conditions)
	})
	t.Logf("the namespace was gone within %s", took.Round(time.Second/10))
}

// TestDeletionWhileInitializing leaves the Services as they are, and the route at stable.
func TestDeletionWhileInitializing(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().PodAnnotation(cluster.NeverReady, "true"))
	a.waitForTraffic("100/0")
	before := a.userObjects()
	a.deleteRollout("background")
	if after := a.userObjects(); after != before {
		t.Errorf("the user's objects have changed:\nwas %s\nis  %s", before, after)
	}
	a.waitForNoPods()
}
