// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestSick makes all pods of stable, of the canary, or of both fail at every kind of step, and recover. Requests to
// the failed pods are lost; requests to others, or later ones, are not. A canary that fails alone loses its traffic
// to stable at once. If only the canary is left, it keeps it. Header routes return with the pods: Argo Rollouts sets
// one when its step is reached, and never again (argo-rollouts#4716, plugin#191).
func TestSick(t *testing.T) {
	t.Parallel()
	for step, steps := range map[string][]v1alpha1.Step{
		"scale":  {builder.Scale(2), builder.Hold()},
		"header": {builder.Scale(2), builder.HeaderRoute("qa", "role", "qa"), builder.Hold()},
		"weight": {builder.Weight(40), builder.Hold()},
	} {
		for _, who := range []string{"canary", "stable", "both"} {
			t.Run(step+"-"+who, func(t *testing.T) {
				t.Parallel()
				a := harness.Start(t, env, harness.Options{Steps: steps, Rate: rate})
				a.SetImage(builder.ImageV2)
				a.WaitForState(v1alpha1.StatePaused)
				sicken(t, a, who)
			})
		}
	}
}

func sicken(t *testing.T, a *harness.App, who string) {
	t.Helper()
	stable, before := a.Stable(), a.Get().Status.Memory.Traffic
	excuses := fallSick(t, a, who, before.Weight > 0 || before.HeaderRoutesActive)
	a.WaitFor("the step's traffic again", func(s v1alpha1.CanaryRolloutStatus) bool {
		m := s.Memory.Traffic
		return s.State == v1alpha1.StatePaused && m.Weight == before.Weight && m.HeaderRoutesActive == before.HeaderRoutesActive && m.VerifiedAt != nil
	})
	excuses = append(excuses, nobodyLeft(who, excuses)...)
	a.Answers(20)
	promoteHeld(a, stable, excuses...)
}

// TestSickWhilePromoting makes pods fail when all traffic is on the canary and the stable Service is about to move
// (T8), and pods of the new revision when it has moved. The promotion completes when they recover.
func TestSickWhilePromoting(t *testing.T) {
	t.Parallel()
	isMoved := func(m *v1alpha1.Memory) bool { return m.StableService.Revision == m.CurrentRevision }
	before := func(m *v1alpha1.Memory) bool { return m.Traffic.Weight == 100 && m.Traffic.VerifiedAt != nil }
	after := func(m *v1alpha1.Memory) bool { return isMoved(m) && m.StableService.ReadyAt != nil }
	for name, tc := range map[string]struct {
		who   string
		isNow func(*v1alpha1.Memory) bool
	}{
		"canary": {"canary", before}, "stable": {"stable", before}, "both": {"both", before}, "moved": {"canary", after},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := harness.Start(t, env, harness.Options{Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
				r.Spec.Traffic.SettleSeconds = ptr.To[int32](5) // the promotion stays in this state for that long
			}})
			stable := a.Stable()
			a.SetImage(builder.ImageV2)
			a.WaitFor("the promotion", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.Memory.Phase == v1alpha1.PhasePromoting && tc.isNow(s.Memory)
			})
			excuses := fallSick(t, a, tc.who, true)
			a.CheckPromoted(stable)
			a.CheckLoss(append(excuses, nobodyLeft(tc.who, excuses)...)...)
		})
	}
}

// fallSick makes all pods of stable, of the canary, or of both fail, and recover. A canary with traffic must lose it
// in between if it fails alone. The excuses are for requests to the failed pods.
func fallSick(t *testing.T, a *harness.App, who string, hadTraffic bool) (excuses []harness.Excuse) {
	t.Helper()
	canary := a.Get().Status.Canary.Revision
	sick := map[string][]string{
		"canary": {canary}, "stable": {a.Stable()}, "both": {canary, a.Stable()},
	}[who]
	for _, revision := range sick {
		excuses = append(excuses, harness.Killed(revision, a.Fail(revision, "true")))
	}
	for _, revision := range sick {
		a.Eventually("no pod of "+revision, func() (bool, string) { return a.Available(revision) == 0, a.Describe() })
	}
	if who == "canary" && hadTraffic {
		rerouted := a.WaitFor("all traffic on stable", func(s v1alpha1.CanaryRolloutStatus) bool {
			m := s.Memory.Traffic
			return m.Weight == 0 && !m.HeaderRoutesActive && m.VerifiedAt != nil
		})
		applied := rerouted.Add(harness.Settle)
		a.Eventually("requests after the gateway's time to apply it", func() (bool, string) {
			stats := a.Traffic.Since(applied)
			return stats.Sent >= 20, stats.String()
		})
		a.CheckNever(canary, applied, time.Now())
		// Both Services may have selected only the canary.
		excuses[0].To = later(excuses[0].To, applied)
	}
	for _, revision := range sick {
		a.Fail(revision, "false")
	}
	for _, revision := range sick {
		a.Eventually("pods of "+revision, func() (bool, string) { return a.Available(revision) > 0, a.Describe() })
	}
	return excuses
}

// nobodyLeft excuses requests to stable until now if stable failed: no pod was left to answer, and the gateway learns
// of the endpoints that are ready again up to settleSeconds after the release does.
func nobodyLeft(who string, killed []harness.Excuse) []harness.Excuse {
	excuse := harness.Excuse{From: killed[0].From.Add(time.Second), To: time.Now().Add(harness.Settle)}
	switch who {
	case "canary":
		return nil
	case "stable":
		excuse.Revision = killed[0].Revision
	}
	return []harness.Excuse{excuse}
}

func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}
