// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package routekinds

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// stream returns the gateway for connections, with one of its listeners.
func stream(listener, address string) *harness.Gateway {
	return &harness.Gateway{Address: address, Parents: []gatewayv1.ParentReference{{
		Name: cluster.StreamGatewayName, Namespace: ptr.To(gatewayv1.Namespace(cluster.GatewayNamespace)),
		SectionName: ptr.To(gatewayv1.SectionName(listener)),
	}}}
}

// release runs an app through its steps to the promotion, and another version through an abort.
func release(t *testing.T, a *harness.App, paused string) {
	t.Helper()
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause(paused)
	a.CheckRoute()
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(v1)
	a.CheckShares()

	a.SetImage(builder.ImageV3)
	a.WaitForPause(paused)
	canary := a.Get().Status.Revision
	a.CheckAborted(canary, a.Annotate(v1alpha1.AbortAnnotation, "true"))
}

// TestGRPC releases with gRPC calls, with a header route for testers.
func TestGRPC(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Kind: &harness.GRPCRoute, Rate: rate, Steps: []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(),
		builder.Weight(20), builder.Pause(4 * time.Second), builder.Weight(50), builder.Pause(4 * time.Second),
	}})
	a.SetImage(builder.ImageV2)
	paused := a.WaitForPause("3/7")
	canary := a.Get().Status.Revision
	a.CheckHeaderRoute(paused, canary)
	a.Annotate(v1alpha1.AbortAnnotation, "true")
	a.WaitForState(v1alpha1.StateAborted)
	a.Annotate(v1alpha1.RetryAnnotation, "true")
	release(t, a, "3/7")
}

// TestTLS releases with TLS that is terminated by the pods.
func TestTLS(t *testing.T) {
	t.Parallel()
	release(t, harness.Start(t, env, harness.Options{
		Kind: &harness.TLSRoute, Gateway: stream("tls", cluster.TLSAddress), Rate: rate, Steps: steps(),
	}), "3/5")
}

// TestTCP releases with plain connections.
func TestTCP(t *testing.T) {
	t.Parallel()
	release(t, harness.Start(t, env, harness.Options{
		Kind: &harness.TCPRoute, Gateway: stream("tcp", cluster.TCPAddress), Rate: rate, Steps: steps(),
	}), "3/5")
}

func steps() []v1alpha1.Step {
	return []v1alpha1.Step{
		builder.Weight(20), builder.Pause(4 * time.Second), builder.Hold(), builder.Weight(50), builder.Pause(4 * time.Second),
	}
}

// TestSeveral: routes of two kinds move together. Neither continues before the other can. Argo Rollouts' plugin
// supported only one route, and all others kept their weights (plugin#33).
func TestSeveral(t *testing.T) {
	t.Parallel()
	calls := harness.GRPCRoute
	options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(20), builder.Hold(), builder.Weight(50), builder.Hold()},
		Edit: func(r *v1alpha1.CanaryRollout) {
			r.Spec.Traffic.Routes = append(r.Spec.Traffic.Routes, v1alpha1.RouteReference{Kind: calls.Name, Name: "bookinfo-reviews"})
		}}
	a := harness.Prepare(t, env, options)
	a.AddRoute(calls)
	a.Create(a.Rollout(options))
	a.WaitForState(v1alpha1.StateHealthy)
	a.StartTraffic()
	load := a.Load(calls, calls.Path, rate)
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("2/4")
	canary := a.Get().Status.Revision

	// The GRPCRoute loses the pair: the other route keeps its weights, and the message names the route with the
	// problem.
	whole := a.RouteOf(calls)
	broken := whole.DeepCopy()
	rules := broken.Object["spec"].(map[string]any)["rules"].([]any)
	rule := rules[0].(map[string]any)
	rule["backendRefs"] = rule["backendRefs"].([]any)[1:]
	a.Merge("kubectl-edit", broken, broken.Object["spec"])
	a.WaitFor("the route without the pair to be named", func(s v1alpha1.CanaryRolloutStatus) bool {
		return strings.Contains(s.Message, "GRPCRoute bookinfo-reviews") && s.State == v1alpha1.StateDegraded
	})
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.Eventually("the promote to be carried out", func() (bool, string) {
		_, isThere := a.Get().Annotations[v1alpha1.PromoteAnnotation]
		return !isThere, a.Get().Status.Message
	})
	if carried := harness.Carried(a.Route()); carried != "80/20" {
		t.Errorf("HTTPRoute carries %s, while the GRPCRoute has no pair", carried)
	}
	a.Merge("kubectl-edit", whole, whole.Object["spec"])
	a.WaitFor("both to carry the next weight", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Traffic != nil && s.Traffic.VerifiedWeight == 50
	})
	if one, other := harness.Carried(a.Route()), harness.Carried(a.RouteOf(calls)); one != "50/50" || other != "50/50" {
		t.Errorf("HTTPRoute carries %s and GRPCRoute %s", one, other)
	}
	a.WaitForPause("4/4")
	a.CheckAborted(canary, a.Annotate(v1alpha1.AbortAnnotation, "true"))
	load.Stop()
	for _, failure := range load.Failures() {
		t.Errorf("lost: %s", failure)
	}
	t.Logf("calls: %s", load.Total())
	if got := a.Stable(); got != v1 {
		t.Errorf("%s is stable after an abort, want %s", got, v1)
	}
}
