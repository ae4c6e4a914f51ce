// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// abortBudget is the maximum median time from the annotation to the canary's last answer: a status write, a write of
// the route, and the time that the gateway takes to read it.
const abortBudget = 150 * time.Millisecond

// bareWrites is how many times as long an abort may take as a bare write of a route without any operator, including
// the gateway's part, which is measured in the same run. An abort has two more writes, of the annotation and of the
// status, and those of a rollout are larger. If a bare write takes more than 50 ms, the time reflects the machine.
const bareWrites = 3

// abortLatency aborts ten times at 40 %, and retries nine times when the pods are gone: in Argo Rollouts, retry did
// nothing, or created no pods (argo-rollouts#841, #3120). A delay of 0 means no delay here; for aborts of Argo
// Rollouts it means never (#1841).
func abortLatency(t *testing.T) {
	t.Helper()
	a := harness.Start(t, env, harness.Options{
		Steps: []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Hold()},
		Edit:  func(r *v1alpha1.CanaryRollout) { r.Spec.ScaleDownDelaySeconds = ptr.To[int32](0) },
	})
	b := newBare(t, a)
	var took, bare []time.Duration
	for range 10 {
		if len(took) == 0 {
			a.SetImage(builder.ImageV2)
		} else {
			a.Annotate(v1alpha1.RetryAnnotation, "true")
		}
		a.WaitForPause("3/3")
		canary := a.Get().Status.Canary.Revision
		bare = append(bare, b.takeAway(canary))
		// The canary must have its share before it can be taken away.
		from := time.Now()
		a.Eventually("requests on the canary", func() (bool, string) {
			stats := a.Traffic.Since(from)
			return stats.ByRevision[canary] >= 40, stats.String()
		})
		asked := a.Annotate(v1alpha1.AbortAnnotation, "too many errors")
		a.WaitForState(v1alpha1.StateAborted)
		a.WaitForDrain(canary)
		took = append(took, a.LastAnswer(canary).Sub(asked).Round(time.Millisecond))
		t.Logf("the last answer came after %s; the route was written after %s", took[len(took)-1], routeWritten(t, asked).Sub(asked))
	}
	slices.Sort(bare)
	slices.Sort(took)
	t.Logf("from the annotation to the last answer of the canary: %s", took)
	a.CheckLoss()
	b.checkLoss()
	floor := bare[len(bare)/2]
	t.Logf("from a bare write to its last answer: %s", bare)
	budget := max(abortBudget, bareWrites*floor)
	if median := took[len(took)/2]; median > budget {
		t.Errorf("the median is %s, and the budget %s, since a bare write takes %s", median, budget, floor)
	}
}

// bare is a route to the app's two Services that no rollout manages, with its own traffic.
type bare struct {
	t       *testing.T
	a       *harness.App
	route   *gatewayv1.HTTPRoute
	traffic *load.Generator
}

func newBare(t *testing.T, a *harness.App) *bare {
	t.Helper()
	backend := func(name string) gatewayv1.HTTPBackendRef {
		return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
			Name: gatewayv1.ObjectName(name), Port: ptr.To[gatewayv1.PortNumber](9080)}}}
	}
	b := &bare{t: t, a: a, route: &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: "bare"}}}
	b.route.Spec.ParentRefs = []gatewayv1.ParentReference{{
		Name: cluster.GatewayName, Namespace: ptr.To(gatewayv1.Namespace(cluster.GatewayNamespace)),
	}}
	b.route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname("bare." + a.Host())}
	b.route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backend("reviews-stable"), backend("reviews-canary")}}}
	b.setWeight(0)
	b.a.Create(b.route)
	begin := func() *load.Generator {
		return load.Start(context.WithoutCancel(t.Context()), load.Options{Host: string(b.route.Spec.Hostnames[0]), Rate: 60, PodAt: env.Pods.PodAt})
	}
	first := begin() // the gateway does not know the route yet
	a.Eventually("the bare route to be served", func() (bool, string) {
		stats := first.Last(200 * time.Millisecond)
		return stats.Sent > 3 && stats.Failed == 0, stats.String()
	})
	first.Stop()
	b.traffic = begin()
	t.Cleanup(b.traffic.Stop)
	return b
}

func (b *bare) setWeight(canary int32) {
	rule := b.route.Spec.Rules[0].BackendRefs
	rule[0].Weight, rule[1].Weight = ptr.To(100-canary), ptr.To(canary)
}

func (b *bare) write(canary int32) {
	b.t.Helper()
	patch := client.MergeFrom(b.route.DeepCopy())
	b.setWeight(canary)
	if err := env.Admin.Patch(b.t.Context(), b.route, patch); err != nil {
		b.t.Fatal(err)
	}
}

// takeAway gives the canary a share and takes it away again, and returns how long after that its last answer arrived.
func (b *bare) takeAway(canary string) time.Duration {
	b.t.Helper()
	from := time.Now()
	b.write(40)
	b.a.Eventually("bare requests on the canary", func() (bool, string) {
		stats := b.traffic.Since(from)
		return stats.ByRevision[canary] >= 10, stats.String()
	})
	asked := time.Now()
	b.write(0)
	last := asked
	b.a.Eventually("bare requests on stable alone", func() (bool, string) {
		if answered := b.traffic.LastAnswer(canary); answered.After(asked) {
			last = answered
		}
		stats := b.traffic.Since(last)
		return stats.Sent >= 20, stats.String()
	})
	return last.Sub(asked).Round(time.Millisecond)
}

func (b *bare) checkLoss() {
	b.t.Helper()
	b.traffic.Stop()
	for _, failure := range b.traffic.Failures() {
		b.t.Errorf("lost: %s", failure)
	}
}

// routeWritten returns when the operator first wrote the route after a given time.
func routeWritten(t *testing.T, after time.Time) time.Time {
	t.Helper()
	for _, event := range requests(t, after, time.Now()) {
		if cost.Kind(&event) == "patch httproutes" {
			return event.StageTimestamp.Time
		}
	}
	t.Fatal("the route was not written")
	return time.Time{}
}
