// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// atWeight pauses before and after weight 40.
func atWeight() []v1alpha1.Step {
	return []v1alpha1.Step{builder.Scale(1), builder.Hold(), builder.Weight(40), builder.Hold()}
}

// TestHeldStep: the gateway misbehaves from just before a setWeight step. The step is held, the status names the
// parent and the reason, and the release continues when the gateway recovers. Argo Rollouts' plugin reports every
// weight as verified, and ignores what a gateway reports (argo-rollouts#701).
func TestHeldStep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		behaviour func(name string) fakegateway.Behaviour
		// says follows the name of the first parent.
		says string
	}{
		"silent":  {fixed(fakegateway.Behaviour{Silent: true}), " has accepted generation "},
		"behind":  {fixed(fakegateway.Behaviour{Behind: true}), " has accepted generation "},
		"partial": {fixed(fakegateway.Behaviour{PartiallyInvalid: true}), ": PartiallyInvalid is True for generation "},
		"missing": {fixed(fakegateway.Behaviour{Generations: fakegateway.GenerationsMissing}), ""},
		"refused": {refusing(fakegateway.Refusal{Condition: "Accepted", Reason: "NotAllowedByListeners", Message: "not this one"}),
			harness.SecondGateway + ": Accepted is False for generation "},
		"unresolved": {refusing(fakegateway.Refusal{Condition: "ResolvedRefs", Reason: "RefNotPermitted", Message: "not these"}),
			harness.SecondGateway + ": ResolvedRefs is False for generation "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: atWeight(), Rate: rate})
			j.toTheFirstPause("2/4")
			j.gateway.Behave(tc.behaviour(harness.NamespaceOf(t)))
			want := j.parent + tc.says
			if tc.says == "" {
				want = "HTTPRoute bookinfo-reviews is accepted by a gateway that reports no generation: the weight counts as verified at "
			}
			since := j.goOn()
			j.says(want, 40)
			j.holds(since, 2*time.Second, isBeforeWeight)
			j.gateway.Behave(fakegateway.Behaviour{})
			j.WaitForPause("4/4")
			j.checkVerified(40, v1alpha1.ReasonVerified)
			j.finish()
		})
	}
}

// TestOtherController: a second controller refuses the route. The release follows the controller of the GatewayClass,
// and reports whose entries it ignores: otherwise those of a removed controller would hold it (kgateway#11747).
func TestOtherController(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{Second: fakegateway.SecondRefuses}, harness.Options{Steps: atWeight(), Rate: rate})
	j.toTheFirstPause("2/4")
	j.goOn()
	j.WaitForPause("4/4")
	j.checkVerified(40, v1alpha1.ReasonVerified)
	if routed := trafficRouted(j.Get().Status); !strings.Contains(routed.Message, "test.canaryrollout.dev/second") {
		t.Errorf("TrafficRouted does not say what is ignored: %s", routed.Message)
	}
	j.finish()
}

// fixed returns a behaviour that does not depend on the name.
func fixed(b fakegateway.Behaviour) func(string) fakegateway.Behaviour {
	return func(string) fakegateway.Behaviour { return b }
}

// refusing makes the second of two parents refuse.
func refusing(refusal fakegateway.Refusal) func(string) fakegateway.Behaviour {
	return func(name string) fakegateway.Behaviour {
		return fakegateway.Behaviour{Refusals: map[string]fakegateway.Refusal{name + harness.SecondGateway: refusal}}
	}
}

// isBeforeWeight reports whether weight 40 is neither verified nor skipped. The status may still show the pause
// before it.
func isBeforeWeight(s v1alpha1.CanaryRolloutStatus) bool {
	return (s.Step == "2/4" || s.Step == "3/4") && s.Memory.Traffic.VerifiedWeight == 0
}

func (j *journey) checkVerified(weight int32, reason string) {
	j.t.Helper()
	s := j.Get().Status
	if routed := trafficRouted(s); routed.Status != metav1.ConditionTrue || routed.Reason != reason || s.Traffic.VerifiedWeight != weight {
		j.t.Errorf("verified is weight %d, want %d, and TrafficRouted %s %s, want %s: %s",
			s.Traffic.VerifiedWeight, weight, routed.Status, routed.Reason, reason, routed.Message)
	}
}

// TestHeldPromotion: the gateway reports nothing when all traffic moves to the canary. The stable Service must not
// move, because it may still carry traffic (T1).
func TestHeldPromotion(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: []v1alpha1.Step{builder.Hold()}, Rate: rate})
	j.toTheFirstPause("1/1")
	j.gateway.Behave(fakegateway.Behaviour{Silent: true})
	since := j.goOn()
	j.says(j.parent+" has accepted generation ", 100)
	j.holds(since, 3*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.StableService.Revision == j.stable })
	j.gateway.Behave(fakegateway.Behaviour{})
	j.CheckPromoted(j.stable)
	j.CheckLoss()
}

// TestHeldAbort: the gateway reports nothing when an abort moves the traffic back. The traffic moves back all the
// same, and the canary keeps its Service and its pods until that is verified (T3, T9).
func TestHeldAbort(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}, Rate: rate})
	j.toTheFirstPause("2/2")
	canary := j.Get().Status.Canary.Revision
	j.gateway.Behave(fakegateway.Behaviour{Silent: true})
	asked := j.Annotate(v1alpha1.AbortAnnotation, "too many errors")
	j.says(j.parent+" has accepted generation ", 0)
	silent := time.Now()
	j.holds(asked, 3*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State != v1alpha1.StateAborted && s.Memory.CanaryService.Revision == canary
	})
	j.CheckNever(canary, silent.Add(harness.Settle), time.Now())
	if got := j.Available(canary); got == 0 {
		t.Error("the canary has no pods any more")
	}
	j.gateway.Behave(fakegateway.Behaviour{})
	j.CheckAborted(canary, asked)
}

// TestNeverAnswered: a first deploy waits for a gateway that has never reported anything.
func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	g := harness.StartGateway(t, env, fakegateway.Behaviour{Silent: true})
	options := harness.Behind(g, harness.Options{Rate: rate})
	j := &journey{App: harness.Prepare(t, env, options), t: t, gateway: g, parent: "Gateway default/" + harness.NamespaceOf(t)}
	began := time.Now()
	j.Create(j.Rollout(options))
	j.says(j.parent+" has not reported ", 0)
	j.holds(began, 2*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory == nil || s.Memory.StableRevision == "" && s.Memory.Traffic.VerifiedAt == nil
	})
	g.Behave(fakegateway.Behaviour{})
	j.WaitForState(v1alpha1.StateHealthy)
	j.StartTraffic()
	j.Answers(40)
	j.CheckLoss()
}
