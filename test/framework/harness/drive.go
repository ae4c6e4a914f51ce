// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// Get reads the rollout.
func (a *App) Get() *v1alpha1.CanaryRollout {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{}
	if err := a.env.Admin.Get(a.t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "reviews"}, rollout); err != nil {
		a.t.Fatal(err)
	}
	return rollout
}

// Patch changes the rollout with a merge patch, as kubectl does.
func (a *App) Patch(patch string) {
	a.t.Helper()
	a.patch(types.MergePatchType, patch)
}

func (a *App) patch(kind types.PatchType, patch string) {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "reviews"}}
	err := a.env.Admin.Patch(a.t.Context(), rollout, client.RawPatch(kind, []byte(patch)))
	if err != nil {
		a.t.Fatal(err)
	}
}

// Touch triggers a watch event of the rollout, if it exists, without a relevant change.
func (a *App) Touch() {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "reviews"}}
	err := a.env.Admin.Patch(a.t.Context(), rollout, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"touched":"true"}}}`)))
	if client.IgnoreNotFound(err) != nil {
		a.t.Error(err) // may not run in the test's own goroutine
	}
}

// Annotate gives a command, and returns the time.
func (a *App) Annotate(key, value string) time.Time {
	a.t.Helper()
	now := time.Now()
	a.Patch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value))
	return now
}

// SetImage sets another image in the template, and leaves the rest of the container.
func (a *App) SetImage(image string) {
	a.t.Helper()
	a.patch(types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, image))
}

// SetTemplate sets another image and an annotation in the template.
func (a *App) SetTemplate(image, annotation, value string) {
	a.t.Helper()
	a.Patch(fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%q}},"spec":{"containers":[{"name":"app","image":%q}]}}}}`,
		annotation, value, image))
}

// Fail makes all running pods of a revision fail, or reverts that, and returns the time at which it is done.
func (a *App) Fail(revision, value string) time.Time {
	a.t.Helper()
	list := &corev1.PodList{}
	err := a.env.Admin.List(a.t.Context(), list, client.InNamespace(a.Namespace), client.MatchingLabels{v1alpha1.RevisionLabel: revision})
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
		if err := a.env.Admin.Patch(a.t.Context(), pod, patch); err != nil {
			a.t.Fatal(err)
		}
	}
	return time.Now()
}

// DeleteOrphaning deletes the rollout and leaves its ReplicaSets, as kubectl delete --cascade=orphan does, and waits
// until it is gone.
func (a *App) DeleteOrphaning() {
	a.t.Helper()
	if err := a.env.Admin.Delete(a.t.Context(), a.Get(), client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		a.t.Fatal(err)
	}
	a.Eventually("the rollout to go", func() (bool, string) {
		moments := a.Moments()
		last := moments[len(moments)-1].Status
		return last.State == "", describe(last)
	})
}
