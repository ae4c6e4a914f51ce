// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateways

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/gateway"
)

// atWeight pauses before weight 40 and behind it.
func atWeight() []v1alpha1.Step {
	return []v1alpha1.Step{builder.Scale(1), builder.Hold(), builder.Weight(40), builder.Hold()}
}

// TestHeldStep has the gateway misbehave from right before a setWeight step on: the step is held, the status says by
// whom and why, and the release goes on when the gateway recovers. The peer's plugin calls every weight verified, and
// does not look at what a gateway reports (argo-rollouts#701).
func TestHeldStep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		behaviour func(name string) gateway.Behaviour
		// says goes on from the name of the first parent.
		says string
	}{
		"silent":  {fixed(gateway.Behaviour{Silent: true}), " has taken generation "},
		"behind":  {fixed(gateway.Behaviour{Behind: true}), " has taken generation "},
		"partial": {fixed(gateway.Behaviour{PartiallyInvalid: true}), ": PartiallyInvalid is True for generation "},
		"missing": {fixed(gateway.Behaviour{Generations: gateway.GenerationsMissing}), ""},
		"refused": {refusing(gateway.Refusal{Condition: "Accepted", Reason: "NotAllowedByListeners", Message: "not this one"}),
			app.SecondGateway + ": Accepted is False for generation "},
		"unresolved": {refusing(gateway.Refusal{Condition: "ResolvedRefs", Reason: "RefNotPermitted", Message: "not these"}),
			app.SecondGateway + ": ResolvedRefs is False for generation "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, gateway.Behaviour{}, app.Options{Steps: atWeight(), Rate: rate})
			j.toTheFirstPause("2/4")
			j.gateway.Behave(tc.behaviour(app.NamespaceOf(t)))
			want := j.parent + tc.says
			if tc.says == "" {
				want = "HTTPRoute bookinfo-reviews is accepted by a gateway that does not say for which generation: the weight is believed at "
			}
			since := j.goOn()
			j.says(want, 40)
			j.holds(since, 2*time.Second, isBeforeWeight)
			j.gateway.Behave(gateway.Behaviour{})
			j.WaitForPause("4/4")
			j.checkVerified(40, v1alpha1.ReasonVerified)
			j.finish()
		})
	}
}

// TestOtherController has a second controller refuse the route. The release goes by the one of the GatewayClass, and says
// whose entries it ignores: those of a controller that is gone would hold it otherwise (kgateway#11747).
func TestOtherController(t *testing.T) {
	t.Parallel()
	j := begin(t, gateway.Behaviour{Second: gateway.SecondRefuses}, app.Options{Steps: atWeight(), Rate: rate})
	j.toTheFirstPause("2/4")
	j.goOn()
	j.WaitForPause("4/4")
	j.checkVerified(40, v1alpha1.ReasonVerified)
	if routed := trafficRouted(j.Get().Status); !strings.Contains(routed.Message, "test.canaryrollout.dev/second") {
		t.Errorf("TrafficRouted does not say what is ignored: %s", routed.Message)
	}
	j.finish()
}

// fixed is a behaviour that needs no name.
func fixed(b gateway.Behaviour) func(string) gateway.Behaviour {
	return func(string) gateway.Behaviour { return b }
}

// refusing has the second of two parents refuse.
func refusing(refusal gateway.Refusal) func(string) gateway.Behaviour {
	return func(name string) gateway.Behaviour {
		return gateway.Behaviour{Refusals: map[string]gateway.Refusal{name + app.SecondGateway: refusal}}
	}
}

// isBeforeWeight says that weight 40 is neither believed nor left behind. The pause before it may still show.
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

// TestHeldPromotion has the gateway report nothing when all traffic goes to the canary: the stable Service stays where it
// is, for it may carry traffic still (T1).
func TestHeldPromotion(t *testing.T) {
	t.Parallel()
	j := begin(t, gateway.Behaviour{}, app.Options{Steps: []v1alpha1.Step{builder.Hold()}, Rate: rate})
	j.toTheFirstPause("1/1")
	j.gateway.Behave(gateway.Behaviour{Silent: true})
	since := j.goOn()
	j.says(j.parent+" has taken generation ", 100)
	j.holds(since, 3*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.StableService.Revision == j.stable })
	j.gateway.Behave(gateway.Behaviour{})
	j.CheckPromoted(j.stable)
	j.CheckLoss()
}

// TestHeldAbort has the gateway report nothing when an abort takes the traffic back: it is taken back all the same, and the
// canary keeps its Service and its pods until that is proven (T3, T9).
func TestHeldAbort(t *testing.T) {
	t.Parallel()
	j := begin(t, gateway.Behaviour{}, app.Options{Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}, Rate: rate})
	j.toTheFirstPause("2/2")
	canary := j.Get().Status.Canary.Revision
	j.gateway.Behave(gateway.Behaviour{Silent: true})
	asked := j.Annotate(v1alpha1.AbortAnnotation, "too many errors")
	j.says(j.parent+" has taken generation ", 0)
	silent := time.Now()
	j.holds(asked, 3*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State != v1alpha1.StateAborted && s.Memory.CanaryService.Revision == canary
	})
	j.CheckNever(canary, silent.Add(app.Propagation), time.Now())
	if got := j.Available(canary); got == 0 {
		t.Error("the canary has no pods any more")
	}
	j.gateway.Behave(gateway.Behaviour{})
	j.CheckAborted(canary, asked)
}

// TestNeverAnswered has a gateway that has never said a word: a first deploy waits for it.
func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	g := app.StartGateway(t, env, gateway.Behaviour{Silent: true})
	options := app.Behind(g, app.Options{Rate: rate})
	j := &journey{App: app.Prepare(t, env, options), t: t, gateway: g, parent: "Gateway default/" + app.NamespaceOf(t)}
	began := time.Now()
	j.Create(j.Rollout(options))
	j.says(j.parent+" has not answered", 0)
	j.holds(began, 2*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory == nil || s.Memory.StableRevision == "" && s.Memory.Traffic.VerifiedAt == nil
	})
	g.Behave(gateway.Behaviour{})
	j.WaitForState(v1alpha1.StateHealthy)
	j.StartTraffic()
	j.Answers(40)
	j.CheckLoss()
}
