// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// internal is a second route to the same pair, for another hostname.
const internal = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: internal, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [internal.%[1]s.example.com]
  rules:
  - backendRefs:
    - {name: %[2]s-stable, port: 9080}
    - {name: %[2]s-canary, port: 9080}
`

// TestRoutesMoveAsOne: the routes of a rollout move together. While a gateway has not verified one of them, no step
// completes (T4), and the message names that route. Then the release continues by itself, on all of them.
func TestRoutesMoveAsOne(t *testing.T) {
	a := parallel(t)
	a.apply(internal)
	a.deploy(a.make().Routes(a.name, "internal").Steps(
		builder.Scale(1), builder.Hold(), builder.HeaderRoute("qa", "role", "qa"), builder.Weight(50), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	a.waitForStep(v1alpha1.StatePaused, "2/5")
	a.apply(strings.Replace(internal, "name: http-gateway", "name: nowhere", 1))
	a.annotate(v1alpha1.PromoteAnnotation, "true")
	a.waitFor("the wait for the route that no gateway has taken", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.Step == "3/5" && strings.Contains(r.Status.Message, "HTTPRoute internal is not verified") &&
			strings.Contains(r.Status.Message, "nowhere")
	})
	a.apply(internal)
	a.waitForStep(v1alpha1.StatePaused, "5/5")
	for _, route := range []string{a.name, "internal"} {
		if got, want := a.trafficOf(route), "50/50 canaryrollout-reviews-qa-0"; got != want {
			t.Errorf("HTTPRoute %s carries %q, want %q", route, got, want)
		}
	}
}
