// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"math"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestDegraded: a gateway reports nothing past the progress deadline. The rollout reports that, and continues when
// the gateway recovers.
func TestDegraded(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: atWeight(), Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
		r.Spec.ProgressDeadlineSeconds = ptr.To[int32](8)
	}})
	j.toTheFirstPause("2/4")
	j.gateway.Behave(fakegateway.Behaviour{Silent: true})
	since := j.goOn()
	const want = "no progress within 8s: HTTPRoute bookinfo-reviews is not verified: "
	j.WaitFor("a message with "+want, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateDegraded && strings.HasPrefix(s.Message, want+j.parent+" has accepted generation ")
	})
	j.holds(since, 0, isBeforeWeight)
	j.gateway.Behave(fakegateway.Behaviour{})
	j.WaitForPause("4/4")
	j.finish()
}

// TestFlapping: Accepted flaps faster than a weight settles. No Service moves on such a status.
func TestFlapping(t *testing.T) {
	t.Parallel()
	// The canary Service has moved before the pause, because that needs a lasting verification, too.
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: []v1alpha1.Step{builder.Scale(1), builder.Hold()}, Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
		r.Spec.Traffic.SettleSeconds = ptr.To[int32](2)
	}})
	j.toTheFirstPause("2/2")
	j.gateway.Behave(fakegateway.Behaviour{Flap: 500 * time.Millisecond})
	since := j.goOn()
	j.says(j.parent+": Accepted is False for generation ", 100)
	j.holds(since, 6*time.Second, func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.StableService.Revision == j.stable })
	j.gateway.Behave(fakegateway.Behaviour{})
	j.CheckPromoted(j.stable)
	j.CheckLoss()
}

// TestUndisturbed: gateway behaviours that must not hold a release from its first deploy to its end. Either
// everything is normal, or a second controller agrees and an entry of a former parent that refused the route was left
// behind.
func TestUndisturbed(t *testing.T) {
	t.Parallel()
	for name, behaviour := range map[string]fakegateway.Behaviour{
		"well":    {},
		"crowded": {Second: fakegateway.SecondAgrees, Leftovers: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, behaviour, harness.Options{Rate: 2 * rate, Steps: []v1alpha1.Step{
				builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Weight(40), builder.Pause(5 * time.Second),
			}})
			begun := time.Now()
			j.toTheFirstPause("3/5")
			v2 := j.Get().Status.Canary.Revision
			j.CheckHeaderRoute(time.Now(), v2)
			j.CheckNever(v2, begun, time.Now())
			j.goOn()
			paused := j.WaitForPause("5/5")
			j.checkVerified(40, v1alpha1.ReasonVerified)
			j.checkShare(v2, 0.4, paused.Add(harness.Settle), paused.Add(4500*time.Millisecond))
			j.CheckPromoted(j.stable)
			j.CheckLoss()
			if name == "well" && len(j.gateway.Counts()) > 0 {
				t.Errorf("the gateway answered itself: %v", j.gateway.Counts())
			}
		})
	}
}

// checkShare waits for the end of a window and compares a revision's share with a weight. The gateway chooses at
// random: one in 16 000 samples lies outside four standard deviations.
func (j *journey) checkShare(revision string, want float64, from, to time.Time) {
	j.t.Helper()
	j.Eventually("the end of a window", func() (bool, string) { return time.Now().After(to), "" })
	stats := j.Traffic.Window(from, to, "")
	got, deviation := stats.RevisionShare(revision), math.Sqrt(want*(1-want)/float64(max(stats.Sent, 1)))
	j.t.Logf("weight %.2f, measured %.3f of %d requests", want, got, stats.Sent)
	if math.Abs(got-want) > 4*deviation {
		j.t.Errorf("weight %.2f, measured %.3f of %d requests", want, got, stats.Sent)
	}
}

// TestLate: every report is late. A weight is not verified earlier than its report, and the release needs no help.
func TestLate(t *testing.T) {
	t.Parallel()
	const late = 3 * time.Second
	j := begin(t, fakegateway.Behaviour{StatusLag: late}, harness.Options{Steps: []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Hold()}, Rate: rate})
	j.toTheFirstPause("3/3")
	// The operator may have seen its own write later than the gateway did.
	if took := j.verification(40); took < late-time.Second {
		t.Errorf("weight 40 was taken as verified %s after it was seen", took)
	}
	j.finish()
}

// verification returns how long the verification of the current weight took.
func (j *journey) verification(weight int32) time.Duration {
	j.t.Helper()
	traffic := j.Get().Status.Memory.Traffic
	if traffic.Weight != weight || traffic.VerifiedAt == nil || len(traffic.Routes) != 1 || traffic.Routes[0].CarriedAt == nil {
		j.t.Fatalf("weight %d is not verified: %+v", weight, traffic)
	}
	return traffic.VerifiedAt.Sub(traffic.Routes[0].CarriedAt.Time)
}

// TestUnversioned: a gateway accepts the route without reporting the generation. Each weight is assumed after 30 s,
// no sooner and no later, and the status says that it is only assumed.
func TestUnversioned(t *testing.T) {
	t.Parallel()
	for name, generations := range map[string]fakegateway.Generations{"missing": fakegateway.GenerationsMissing, "zero": fakegateway.GenerationsZero} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: atWeight(), Rate: rate})
			j.toTheFirstPause("2/4")
			j.gateway.Behave(fakegateway.Behaviour{Generations: generations})
			since := j.goOn()
			j.says("HTTPRoute bookinfo-reviews is accepted by a gateway that reports no generation: the weight counts as verified at ", 40)
			j.holds(since, 5*time.Second, isBeforeWeight)
			j.WaitForPause("4/4")
			j.checkVerified(40, v1alpha1.ReasonVerifiedUnversioned)
			if took := j.verification(40); took < 30*time.Second || took > 33*time.Second {
				t.Errorf("weight 40 was taken as verified %s after it was seen", took)
			}
			j.gateway.Behave(fakegateway.Behaviour{})
			j.Eventually("the gateway to be trusted again", func() (bool, string) {
				routed := trafficRouted(j.Get().Status)
				return routed.Reason == v1alpha1.ReasonVerified, routed.Reason
			})
			j.finish()
		})
	}
}
