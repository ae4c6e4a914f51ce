// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// A data plane may lag by lag; a rollout waits for settle.
const (
	settle = 3 * time.Second
	lag    = 2500 * time.Millisecond
)

// TestSlowDataPlane: the gateway routes later than it reports, endpoints arrive later than weights, both, or only new
// endpoints are late. Each case runs a full release, an abort during promotion, and a third version in mid-canary:
// Argo Rollouts removes the pods of the second one at once, while they still receive requests (argo-rollouts#4534).
func TestSlowDataPlane(t *testing.T) {
	t.Parallel()
	for name, behaviour := range map[string]fakegateway.Behaviour{
		"routes":    {RouteLag: lag},
		"endpoints": {EndpointLag: lag},
		"both":      {RouteLag: lag, EndpointLag: lag},
		"new":       {EndpointLag: lag, EndpointsGoAtOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("release", func(t *testing.T) { slowRelease(t, behaviour) })
			t.Run("abort", func(t *testing.T) { slowAbort(t, behaviour) })
			t.Run("supersede", func(t *testing.T) { slowSupersede(t, behaviour) })
		})
	}
}

func beginSlow(t *testing.T, behaviour fakegateway.Behaviour, steps ...v1alpha1.Step) *journey {
	t.Helper()
	options := harness.Options{Steps: steps, Rate: slowRate, Settle: settle}
	if behaviour.EndpointsGoAtOnce { // nothing can help a rule whose only backend is a Service without endpoints
		pairOnly := harness.HTTPRoute
		pairOnly.StableOnly, options.Kind = "", &pairOnly
	}
	j := begin(t, behaviour, options)
	j.SetImage(builder.ImageV2)
	return j
}

func slowRelease(t *testing.T, behaviour fakegateway.Behaviour) {
	t.Helper()
	j := beginSlow(t, behaviour, builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Pause(time.Second), builder.Weight(40))
	j.CheckPromoted(j.stable)
	j.CheckLeft(j.stable)
	j.CheckLoss()
}

func slowAbort(t *testing.T, behaviour fakegateway.Behaviour) {
	t.Helper()
	j := beginSlow(t, behaviour)
	j.WaitFor("the stable Service to move", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory.StableService.Revision == s.Memory.CurrentRevision && s.Memory.Phase == v1alpha1.PhasePromoting
	})
	j.CheckAborted(j.Get().Status.Canary.Revision, j.Annotate(v1alpha1.AbortAnnotation, "true"))
	if got := j.Stable(); got != j.stable {
		t.Errorf("stable is %s, want %s", got, j.stable)
	}
}

func slowSupersede(t *testing.T, behaviour fakegateway.Behaviour) {
	t.Helper()
	j := beginSlow(t, behaviour, builder.Weight(40))
	j.WaitFor("weight 40", func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.Traffic.Weight == 40 })
	v2 := j.Get().Status.Canary.Revision
	j.SetImage(builder.ImageV3)
	j.WaitFor("version 3 to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateHealthy && s.Images == builder.ImageV3
	})
	j.WaitForDrain(v2)
	j.CheckRoute()
	j.CheckLoss()
}

// TestProbe: the data plane reports at once but routes far later than a rollout waits. A weight is only verified by
// what the probe measures, so no request is lost and no step is done before its share is reached.
func TestProbe(t *testing.T) {
	t.Parallel()
	g := harness.StartGateway(t, env, fakegateway.Behaviour{})
	options := harness.Behind(g, harness.Options{
		Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}, Rate: rate,
		Edit: func(r *v1alpha1.CanaryRollout) {
			r.Spec.Traffic.SettleSeconds = ptr.To[int32](0)
			r.Spec.Traffic.Probe = &v1alpha1.Probe{
				URL: "http://" + g.Address() + "/reviews/0", Host: harness.NamespaceOf(t) + ".example.com", RevisionHeader: backend.RevisionHeader,
			}
		},
	})
	j := &journey{App: harness.Start(t, env, options), t: t, gateway: g}
	j.stable = j.Stable()
	j.gateway.Behave(fakegateway.Behaviour{RouteLag: 2 * lag})
	j.SetImage(builder.ImageV2)
	j.WaitFor("the answer of the probe", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Step == "1/2" && strings.Contains(s.Message, "requests of the probe reached the canary, which is not 40 %")
	})
	paused, canary := j.WaitForPause("2/2"), j.Get().Status.Canary.Revision
	j.Answers(10 * rate)
	if share := j.Traffic.Window(paused, time.Now(), "").RevisionShare(canary); share < 0.2 || share > 0.6 {
		t.Errorf("the share was %.2f when weight 40 was verified", share)
	}
	j.goOn()
	healthy := j.CheckPromoted(j.stable)
	j.CheckNever(j.stable, healthy, time.Now())
	j.CheckLoss()
}

// TestTooSlowDataPlane shows that the tests above can fail: endpoints that are later than a rollout waits cost
// requests, which were sent to pods of the former revision that were already gone.
func TestTooSlowDataPlane(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
		r.Spec.Traffic.SettleSeconds, r.Spec.ScaleDownDelaySeconds = ptr.To[int32](0), ptr.To[int32](0)
	}})
	j.gateway.Behave(fakegateway.Behaviour{EndpointLag: 6 * time.Second})
	j.SetImage(builder.ImageV2)
	j.CheckPromoted(j.stable)
	isBlamed := func(failure load.Result) bool { return strings.HasPrefix(failure.Pod, "reviews-"+j.stable+"-") }
	j.Eventually("a request that went to a pod of the former revision to be lost", func() (bool, string) {
		return slices.ContainsFunc(j.Traffic.Failures(), isBlamed), "none of " + j.Traffic.Total().String()
	})
	j.gateway.Behave(fakegateway.Behaviour{})
	j.Traffic.Stop()
	for _, failure := range j.Traffic.Failures() {
		if !isBlamed(failure) {
			t.Errorf("lost for another reason: %s", failure)
		}
	}
}
