// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// TestRouteLimits: a header route for which there is no room in the route is not written. The release holds there, a
// condition and an Event say what is too much, and it goes on by itself when there is room.
func TestRouteLimits(t *testing.T) {
	t.Parallel()
	twoMatches := builder.HeaderRoute("qa", "role", "qa")
	twoMatches.SetHeaderRoute.Matches = append(twoMatches.SetHeaderRoute.Matches,
		v1alpha1.RequestMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "dev"}}})
	for name, tc := range map[string]struct {
		says string
		fill func(*gatewayv1.HTTPRouteSpec)
	}{
		"rules": {"would have 17 rules, and the Gateway API allows 16", func(spec *gatewayv1.HTTPRouteSpec) {
			spec.Rules = append(spec.Rules, slices.Repeat(spec.Rules[1:], 14)...)
		}},
		"matches": {"would have 66 matches in one rule, and the Gateway API allows 64", func(spec *gatewayv1.HTTPRouteSpec) {
			spec.Rules[0].Matches = slices.Repeat(spec.Rules[0].Matches, 33)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := paused(t, "2/4", builder.Scale(1), builder.Hold(), twoMatches, builder.Hold())
			roomy := a.route(a.name).Spec
			a.editRoute(tc.fill)
			before, writes := a.userObjects(), len(a.operatorWrites())
			a.annotate(v1alpha1.PromoteAnnotation, "true")
			a.waitForProblem(problem{reason: v1alpha1.ReasonRouteLimitExceeded, says: tc.says})
			checkConditions(t, a.barrier(), stalled(v1alpha1.ReasonRouteLimitExceeded).with("TrafficRouted", "False "+v1alpha1.ReasonRouteLimitExceeded))
			if after := a.userObjects(); after != before || len(a.operatorWrites()) != writes {
				t.Errorf("the user's objects were written:\nwas %s\nis  %s", before, after)
			}
			a.editRoute(func(spec *gatewayv1.HTTPRouteSpec) { *spec = roomy })
			a.waitForStep(v1alpha1.StatePaused, "4/4")
			a.checkTraffic("100/0 canaryrollout-reviews-qa-0")
		})
	}
}

// editRoute changes the route by hand.
func (a *app) editRoute(edit func(*gatewayv1.HTTPRouteSpec)) {
	a.t.Helper()
	route := a.route(a.name)
	edit(&route.Spec)
	if err := admin.Update(a.t.Context(), route); err != nil {
		a.t.Fatal(err)
	}
}

// stream is a route of a kind that the cluster of this test does not serve at first.
const stream = `
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: stream, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  rules: [{backendRefs: [{name: %[2]s-stable, port: 9080}, {name: %[2]s-canary, port: 9080}]}]
`

// TestRouteKindNotServed: a kind that the cluster does not serve is no error until a rollout names it. That one says so,
// writes nothing, and takes note when the kind is installed, without a restart.
func TestRouteKindNotServed(t *testing.T) {
	if output, err := kubectl(t, "", "delete", "customresourcedefinition", "tcproutes."+gatewayv1.GroupName); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	a := parallel(t) // the operator starts now, or later
	before := a.userObjects()
	rollout := a.make()
	made := rollout.Obj()
	made.Spec.Traffic.Routes = append(made.Spec.Traffic.Routes, v1alpha1.RouteReference{Kind: "TCPRoute", Name: "stream"})
	a.create(made)
	a.wrote(made)
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteKindNotServed, says: "the cluster serves no TCPRoute: install the Gateway API with it"})
	a.waitFor("ready pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Ready == "2/2" })
	checkConditions(t, a.barrier(), inFlight("Initializing").with(
		"Available", "False Initializing", "TrafficRouted", "False "+v1alpha1.ReasonRouteKindNotServed))
	a.checkUntouched(before)
	if err := cluster.ApplyFiles(t.Context(), up.RESTConfig(cluster.Admin), tcpRoutes(t)); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitForCRDs(t.Context(), up.RESTConfig(cluster.Admin)); err != nil {
		t.Fatal(err)
	}
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteNotFound, says: "TCPRoute stream does not exist: create it"})
	a.apply(stream)
	a.waitFor("the gateway that does not know the kind", func(r *v1alpha1.CanaryRollout) bool {
		return strings.Contains(r.Status.Message, "TCPRoute stream is not verified: Gateway default/http-gateway has not answered")
	})
	a.patch(`{"spec":{"traffic":{"routes":[{"kind":"HTTPRoute","name":%q}]}}}`, a.name)
	a.waitForState(v1alpha1.StateHealthy)
}

// tcpRoutes is the file of the CRD.
func tcpRoutes(t *testing.T) string {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "standard", fmt.Sprintf("%s_tcproutes.yaml", gatewayv1.GroupName))
}
