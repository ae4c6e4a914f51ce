// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// orphanedDeployment runs version 1 as a Deployment, and deletes the Deployment without its pods. It returns the
// pods.
func orphanedDeployment(t *testing.T) (a *app, pods map[string]string) {
	t.Helper()
	a = parallel(t)
	rollout := a.make().Obj()
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: rollout.Spec.Replicas, Template: builder.TemplateOf(rollout),
			Selector: &metav1.LabelSelector{MatchLabels: rollout.Spec.Selector.MatchLabels},
		},
	}
	a.create(deployment)
	a.within(patience, "the Deployment", func() (bool, string) {
		a.get(a.name, deployment)
		return deployment.Status.AvailableReplicas == 2, ""
	})
	a.kubectl("delete", "deployment", a.name, "--cascade=orphan", "--wait=false")
	a.within(patience, "the Deployment to go", func() (bool, string) {
		return apierrors.IsNotFound(env.Admin.Get(t.Context(), a.key(a.name), deployment)), ""
	})
	return a, a.pods("app=reviews")
}

// TestAdoption adopts an orphaned Deployment with an equal template: its pods become stable unchanged. The rollout
// does not set replicas, so the number of pods stays, and an autoscaler can read it.
func TestAdoption(t *testing.T) {
	a, pods := orphanedDeployment(t)
	rollout := a.make().Steps(builder.Weight(50), builder.Hold()).Obj()
	rollout.Spec.Replicas = nil
	a.create(rollout)
	a.wrote(rollout)
	rollout = a.waitForState(v1alpha1.StateHealthy)
	if now := a.pods("app=reviews"); len(pods) != 2 || !maps.Equal(now, pods) {
		t.Errorf("the pods were %v, and are %v", pods, now)
	}
	scale := &autoscalingv1.Scale{}
	if err := env.Admin.SubResource("scale").Get(t.Context(), rollout, scale); err != nil || scale.Spec.Replicas != 2 {
		t.Errorf("the scale subresource wants %d pods, %v", scale.Spec.Replicas, err)
	}
	a.checkOwner("CanaryRollout/reviews")
	a.checkSelects("reviews-stable", rollout.Status.Stable.Revision)
	a.waitForEvent("Normal", "RevisionAdopted", "no pod restarts")
}

// TestAdoptionOfAnotherTemplate: the running pods become stable, and the steps run towards the new template.
func TestAdoptionOfAnotherTemplate(t *testing.T) {
	a, pods := orphanedDeployment(t)
	a.deploy(a.make().Image(builder.ImageV2).Steps(builder.Weight(50), builder.Hold()))
	rollout := a.waitForStep(v1alpha1.StatePaused, "2/2")
	if now := a.podsOf(rollout.Status.Stable.Revision); len(pods) != 2 || !maps.Equal(now, pods) {
		t.Errorf("the pods were %v, and the stable ones are %v", pods, now)
	}
	a.checkTraffic("50/50")
}

// waitForEndpoints waits until a Service has so many ready endpoints: its slices follow the pods a little later.
func (a *app) waitForEndpoints(service string, want int) {
	a.t.Helper()
	a.within(patience, fmt.Sprintf("%d ready endpoints of Service %s", want, service), func() (bool, string) {
		slices := &discoveryv1.EndpointSliceList{}
		err := env.Admin.List(a.t.Context(), slices, client.InNamespace(a.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})
		if err != nil {
			a.t.Fatal(err)
		}
		ready := 0
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if ptr.Deref(endpoint.Conditions.Ready, false) {
					ready++
				}
			}
		}
		return ready == want, fmt.Sprint(ready)
	})
}

// TestAdoptionBesideOthers: pods of another workload behind the same Service are not removed from it, unless
// requested.
func TestAdoptionBesideOthers(t *testing.T) {
	a, _ := orphanedDeployment(t)
	other := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: "older"}}
	other.Spec.Template = builder.TemplateOf(a.make().Obj())
	other.Spec.Template.Labels = map[string]string{"app": a.name, "track": "older"}
	other.Spec.Selector = &metav1.LabelSelector{MatchLabels: other.Spec.Template.Labels}
	a.create(other)
	a.waitForEndpoints("reviews-stable", 3)
	a.deploy(a.make().Steps(builder.Weight(50), builder.Hold()))
	a.waitFor("a message that names the pods", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StateDegraded && strings.Contains(r.Status.Message, "would lose 1 ready endpoint of other workloads (older-")
	})
	a.checkSelects("reviews-stable", "")
	a.patch(`{"spec":{"traffic":{"otherEndpoints":"Remove"}}}`)
	rollout := a.waitForState(v1alpha1.StateHealthy)
	a.checkSelects("reviews-stable", rollout.Status.Stable.Revision)
}

// TestBrokenRolloutDelaysNoOther releases next to rollouts that are broken in every way that is retried.
func TestBrokenRolloutDelaysNoOther(t *testing.T) {
	a := parallel(t)
	for _, name := range []string{"no-objects-1", "no-objects-2", "no-objects-3"} {
		a.create(builder.MakeRollout(a.namespace, name).Obj())
	}
	broken := builder.MakeRollout(a.namespace, "no-template").Obj()
	a.create(broken)
	if err := env.Admin.Patch(t.Context(), broken, mergePatch(invalid)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	a.deploy(a.make())
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	a.waitForStable(builder.ImageV2)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("deployed and released within %s", took)
	}
}
