// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// secondRoute is added to spec.traffic.routes and removed again.
	secondRoute = "second-reviews"
	// autoscalerPeriod is the time between two decisions of an autoscaler.
	autoscalerPeriod = 600 * time.Millisecond
)

// addSecondRoute creates a route like the app's for another host. It must be unchanged whenever no release is in
// flight, whether the rollout manages it or not.
func (d *driver) addSecondRoute() {
	d.t.Helper()
	route := d.GitRoute(100, 0)
	route.SetName(secondRoute)
	if err := unstructured.SetNestedStringSlice(route.Object, []string{"second." + d.Host()}, "spec", "hostnames"); err != nil {
		d.t.Fatal(err)
	}
	d.Create(route)
}

// editTraffic adds the second route to spec.traffic, or removes it.
func (d *driver) editTraffic(isManaged bool) {
	d.t.Helper()
	routes := d.Get().Spec.Traffic.Routes[:1]
	if isManaged {
		routes = append(routes, v1alpha1.RouteReference{Kind: "HTTPRoute", Name: secondRoute})
	}
	d.patchSpec(map[string]any{"traffic": map[string]any{"routes": routes}})
}

// editSteps removes the mirror from the steps, even an active one, or restores it.
func (d *driver) editSteps(isMirrorOff bool) {
	d.t.Helper()
	steps := d.appSteps()
	if isMirrorOff {
		withoutMirror := []v1alpha1.Step{builder.Mirror(0)}
		for _, step := range steps {
			if step.SetMirrorRoute == nil {
				withoutMirror = append(withoutMirror, step)
			}
		}
		steps = withoutMirror
	}
	d.patchSpec(map[string]any{"steps": steps})
}

func (d *driver) patchSpec(spec map[string]any) {
	d.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Patch(string(patch))
}

// autoscale changes the size as an autoscaler does: through the scale subresource, one pod at a time.
func (d *driver) autoscale(target int32) {
	d.t.Helper()
	for {
		rollout := d.Get()
		size := *rollout.Spec.Replicas
		switch {
		case size < target:
			size++
		case size > target:
			size--
		default:
			return
		}
		patch := client.RawPatch("application/merge-patch+json", []byte(fmt.Sprintf(`{"spec":{"replicas":%d}}`, size)))
		if err := env.Admin.SubResource("scale").Patch(d.t.Context(), rollout, patch); err != nil {
			d.t.Fatal(err)
		}
		d.pass(autoscalerPeriod)
	}
}

// recreate deletes the rollout, keeps its stable pods, and creates it again: the pods must be adopted.
func (d *driver) recreate() {
	d.t.Helper()
	d.awaitEndpoints()
	before := d.Get()
	d.DeleteOrphaning()
	d.checkSecondRoute()
	again := &v1alpha1.CanaryRollout{Spec: before.Spec}
	again.Namespace, again.Name = before.Namespace, before.Name
	d.Create(again)
	d.Eventually("the pods to be adopted", func() (bool, string) {
		status := d.Get().Status
		// The status of the pass that adopts them has no images yet, and a revert reads them.
		return status.Stable != nil && status.Images != "", d.describe(harness.Moment{At: time.Now(), Status: status})
	})
}

// checkSecondRoute checks that nothing of a release is left in the second route.
func (d *driver) checkSecondRoute() {
	d.t.Helper()
	route := d.Route()
	if err := env.Admin.Get(d.t.Context(), client.ObjectKey{Namespace: d.Namespace, Name: secondRoute}, route); err != nil {
		d.t.Fatal(err)
	}
	if got := harness.Carried(route); got != "100/0" {
		d.t.Errorf("the second route carries %s", got)
	}
}
