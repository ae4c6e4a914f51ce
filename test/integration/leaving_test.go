// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

const partners = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: partners, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [partners.%[1]s.example.com]
  rules:
  - backendRefs:
    - {name: %[2]s-stable, port: 9080, weight: 100}
    - {name: %[2]s-canary, port: 9080, weight: 0}
`

// TestRouteLeaves removes a route from the spec in mid-canary: the route is moved back to stable, and the release
// continues with the other one. Changes of the removed route are noticed, although the spec no longer names it.
func TestRouteLeaves(t *testing.T) {
	a := parallel(t)
	a.apply(partners)
	a.deploy(a.make().Routes("reviews", "partners").Steps(builder.Weight(50), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	a.waitForStep(v1alpha1.StatePaused, "2/2")
	if got := a.trafficOf("partners"); got != "50/50 " {
		t.Fatalf("partners carries %s, want 50/50", got)
	}
	a.patch(`{"spec":{"traffic":{"routes":[{"kind":"HTTPRoute","name":"reviews"}]}}}`)
	a.waitFor("the route to be released", func(r *v1alpha1.CanaryRollout) bool { return len(r.Status.Memory.Routes) == 1 })
	if got := a.trafficOf("partners"); got != "100/0 " {
		t.Errorf("partners carries %s, want 100/0", got)
	}
	a.checkTraffic("50/50")
}

const renamed = `
apiVersion: v1
kind: Service
metadata: {name: %[2]s-main, namespace: %[1]s}
spec: {ports: [{port: 9080, name: http}], selector: {app: %[2]s}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [%[2]s.%[1]s.example.com]
  rules:
  - backendRefs:
    - {name: %[2]s-main, port: 9080, weight: 100}
    - {name: %[2]s-canary, port: 9080, weight: 0}
`

// TestServiceLeaves renames the stable Service. The former one gets its own selector back, so its clients are still
// served during the next release.
func TestServiceLeaves(t *testing.T) {
	a := deployed(t, builder.Weight(50), builder.Hold())
	a.apply(renamed)
	a.patch(`{"spec":{"traffic":{"stableService":"reviews-main"}}}`)
	rollout := a.waitFor("the other name", func(r *v1alpha1.CanaryRollout) bool {
		m := r.Status.Memory
		return r.Status.State == v1alpha1.StateHealthy && m.StableService.Name == "reviews-main" && len(m.LeavingServices) == 0
	})
	a.checkSelects("reviews-main", rollout.Status.Stable.Revision)
	a.within(patience, "the former Service to be the user's own again", func() (bool, string) {
		selector := a.selector("reviews-stable")
		return selector[v1alpha1.RevisionLabel] == "", fmt.Sprint(selector)
	})
}
