// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// unstructuredOf returns a typed object as it would be in a manifest.
func unstructuredOf(t *testing.T, object client.Object, kind, apiVersion string) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	raw := &unstructured.Unstructured{Object: content}
	raw.SetAPIVersion(apiVersion)
	raw.SetKind(kind)
	unstructured.RemoveNestedField(raw.Object, "spec", "template", "metadata", "creationTimestamp")
	return harness.Declared(raw)
}

// manifest returns the app's rollout as it would be in a user's file.
func manifest(t *testing.T, a *harness.App, options harness.Options) *unstructured.Unstructured {
	t.Helper()
	return unstructuredOf(t, a.Rollout(options), "CanaryRollout", "canaryrollout.dev/v1alpha1")
}

// deploymentOf returns a Deployment that runs the same pods as a rollout.
func deploymentOf(rollout *v1alpha1.CanaryRollout, name string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: rollout.Namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: rollout.Spec.Replicas, Template: builder.TemplateOf(rollout),
			Selector: &metav1.LabelSelector{MatchLabels: rollout.Spec.Selector.MatchLabels},
		},
	}
}

// deployed returns an app that runs as a Deployment and already receives traffic.
func deployed(t *testing.T, options harness.Options, name string, edit func(*v1alpha1.CanaryRollout)) (*harness.App, *appsv1.Deployment) {
	t.Helper()
	a := harness.Prepare(t, env, options)
	deployment := deploymentOf(a.Rollout(harness.Options{Edit: edit}), name)
	a.Create(deployment.DeepCopy())
	waitForDeployment(t, a, deployment)
	startTraffic(t, a)
	return a, deployment
}

// startTraffic starts the requests when the gateway answers for both Services.
func startTraffic(t *testing.T, a *harness.App) {
	t.Helper()
	// The Services have the same weight, so the gateway takes turns: two answers in a row are those of both.
	a.Eventually("the gateway to answer for both Services", func() (bool, string) {
		answers := fmt.Sprint(answer(t, a, "/reviews/0"), answer(t, a, "/reviews/0"), answer(t, a, "/stable-only"))
		return answers == "200 200 200", answers
	})
	a.StartTraffic()
}

func answer(t *testing.T, a *harness.App, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+cluster.GatewayAddress+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = a.Host()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func waitForDeployment(t *testing.T, a *harness.App, of *appsv1.Deployment) {
	t.Helper()
	a.Eventually("the Deployment to be available", func() (bool, string) {
		found := &appsv1.Deployment{}
		if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(of), found); err != nil {
			t.Fatal(err)
		}
		s := found.Status
		return s.ObservedGeneration == found.Generation && s.AvailableReplicas == *of.Spec.Replicas && s.Replicas == *of.Spec.Replicas, fmt.Sprintf("%+v", s)
	})
}

// podsOf maps the names of pods that are not terminating to their revisions.
func podsOf(t *testing.T, a *harness.App) map[string]string {
	t.Helper()
	list := &corev1.PodList{}
	if err := env.Admin.List(t.Context(), list, client.InNamespace(a.Namespace)); err != nil {
		t.Fatal(err)
	}
	pods := map[string]string{}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			pods[list.Items[i].Name] = list.Items[i].Labels[v1alpha1.RevisionLabel]
		}
	}
	return pods
}

// TestMigration adopts a running Deployment with the documented commands. No request is lost.
func TestMigration(t *testing.T) {
	t.Parallel()
	adopt := harness.Documented(t, "concepts.md", "### Adoption")[0]
	// An equal template: no pod restarts, neither in the migration nor on the way back to a Deployment.
	t.Run("equal", func(t *testing.T) {
		t.Parallel()
		options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}}
		a, deployment := deployed(t, options, "reviews", nil)
		pods, s := podsOf(t, a), a.Terminal()
		write(t, s, "canaryrollout.yaml", manifest(t, a, options))
		s.Run(adopt)
		a.WaitForState(v1alpha1.StateHealthy)
		if now := podsOf(t, a); !maps.Equal(now, pods) {
			t.Errorf("the pods were %v, and are %v", pods, now)
		}
		a.CheckRoute()
		write(t, s, "deployment.yaml", unstructuredOf(t, deployment, "Deployment", "apps/v1"))
		s.Run("kubectl delete canaryrollout reviews --cascade=orphan")
		s.Run("kubectl apply -f deployment.yaml")
		waitForDeployment(t, a, deployment)
		if now := podsOf(t, a); !maps.Equal(now, pods) {
			t.Errorf("the pods were %v, and are %v, of a Deployment again", pods, now)
		}
		a.CheckRoute()
		a.CheckLoss()
	})
	// Another template: the running one becomes stable, and the steps lead to the new one.
	t.Run("other", func(t *testing.T) {
		t.Parallel()
		options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}}
		a, _ := deployed(t, options, "reviews", nil)
		s := a.Terminal()
		options.Edit = func(r *v1alpha1.CanaryRollout) { builder.SetImage(r, builder.ImageV2) }
		write(t, s, "canaryrollout.yaml", manifest(t, a, options))
		old := slices.Collect(maps.Values(podsOf(t, a)))[0]
		s.Run(adopt)
		a.WaitForPause("2/2")
		if got := a.Stable(); got != old {
			t.Errorf("stable is %s, want the revision of the Deployment, %s", got, old)
		}
		a.Annotate(v1alpha1.PromoteAnnotation, "true")
		a.WaitFor("the promotion", func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.State == v1alpha1.StateHealthy && s.Stable.Revision != old && len(s.Memory.Draining) == 0
		})
		a.CheckRoute()
		a.CheckLoss()
	})
	t.Run("two", func(t *testing.T) {
		t.Parallel()
		testMigrationOfTwo(t, adopt)
	})
}

// testMigrationOfTwo adopts a Deployment in the middle of a rolling update: the ReplicaSet with the equal template
// becomes stable, although it has fewer pods, and the other one drains.
func testMigrationOfTwo(t *testing.T, adopt string) {
	t.Helper()
	// A Deployment deletes pods while they get requests: they must live until the gateway has noticed.
	v1 := func(r *v1alpha1.CanaryRollout) { builder.GracePeriod(r, 5) }
	v2 := func(r *v1alpha1.CanaryRollout) {
		v1(r)
		builder.SetImage(r, builder.ImageV2)
	}
	options := harness.Options{Rate: rate, Edit: v2}
	a, deployment := deployed(t, options, "reviews", v1)
	old := slices.Collect(maps.Values(podsOf(t, a)))[0]
	s := a.Terminal()
	update := deploymentOf(a.Rollout(options), "reviews")
	update.Spec.MinReadySeconds = 3000 // the update stops when its first pods are ready
	update.Spec.ProgressDeadlineSeconds = ptr.To[int32](6000)
	write(t, s, "deployment.yaml", unstructuredOf(t, update, "Deployment", "apps/v1"))
	s.Run("kubectl apply -f deployment.yaml")
	a.Eventually("both ReplicaSets to answer", func() (bool, string) {
		stats := a.Traffic.Since(time.Now().Add(-time.Second))
		return len(stats.ByRevision) == 2, fmt.Sprint(stats.ByRevision)
	})
	write(t, s, "canaryrollout.yaml", manifest(t, a, options))
	s.Run(adopt)
	a.WaitFor("the one revision", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateHealthy && s.Stable.Revision != old && s.Ready == "4/4" && len(s.Memory.Draining) == 0
	})
	a.Eventually("the other one's pods to go", func() (bool, string) {
		pods := podsOf(t, a)
		return int32(len(pods)) == *deployment.Spec.Replicas && !slices.Contains(slices.Collect(maps.Values(pods)), old), fmt.Sprint(pods)
	})
	a.CheckRoute()
	a.CheckLoss()
}

// TestBeside keeps a Deployment with the same labels running next to a rollout. Its pods answered before, and get no
// more requests once the Services select revisions. The Deployment is not changed.
func TestBeside(t *testing.T) {
	t.Parallel()
	options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}}
	a, deployment := deployed(t, options, "legacy", nil)
	legacy := podsOf(t, a)
	revision := slices.Collect(maps.Values(legacy))[0]
	a.Create(a.Rollout(harness.Options{Steps: options.Steps, Edit: func(r *v1alpha1.CanaryRollout) {
		builder.EditTemplate(r, func(t *corev1.PodTemplateSpec) { t.Labels["version"] = "v1" }) // not the Deployment's template
	}}))
	healthy := a.WaitForState(v1alpha1.StateHealthy)
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("2/2")
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(v1)
	a.CheckNever(revision, healthy.Add(harness.Settle), time.Now())
	waitForDeployment(t, a, deployment)
	now := podsOf(t, a)
	for pod := range legacy {
		if now[pod] != revision {
			t.Errorf("pod %s of the Deployment is gone", pod)
		}
	}
	a.CheckLoss()
}

// TestDeletion deletes a rollout in mid-canary, under load. Requests may fail only when the serving pods are deleted:
// with background deletion once the rollout has removed its finalizer, with foreground deletion and with the
// namespace from the command on, because these delete the pods at once, regardless of finalizers. Argo Rollouts
// leaves weights and header rules as they are.
func TestDeletion(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"background": "kubectl delete canaryrollout reviews --wait=false",
		"foreground": "kubectl delete canaryrollout reviews --cascade=foreground --wait=false",
		"namespace":  "kubectl delete namespace \"$(kubectl config view --minify -o jsonpath={..namespace})\" --wait=false",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := midCanary(t)
			s := a.Terminal()
			asked := time.Now()
			s.Run(command)
			a.Eventually("the rollout to go", func() (bool, string) { return isGone(t, a), "it is still there" })
			a.Eventually("the pods to go", func() (bool, string) {
				pods := podsOf(t, a)
				return len(pods) == 0, fmt.Sprint(pods)
			})
			until := asked
			if name == "background" {
				until = released(t, a, asked)
			}
			checkLossBut(t, a, until, time.Now().Add(time.Hour))
		})
	}
}

// released returns when the operator removed its finalizer: its last write of the rollout itself.
func released(t *testing.T, a *harness.App, asked time.Time) (at time.Time) {
	t.Helper()
	for _, event := range a.Audited(asked) {
		if harness.IsWrite(event, cluster.OperatorUsername, "canaryrollouts") {
			at = event.StageTimestamp.Time
		}
	}
	if at.IsZero() {
		t.Fatal("the operator did not write the rollout")
	}
	return at
}
