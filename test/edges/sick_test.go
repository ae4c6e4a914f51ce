// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package edges

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/builder"
)

// TestSick lets all pods of stable, of the canary, or of both fail at every kind of step, and heals them. What the dead
// pods were to answer is lost; what was sent to others, or after, is not. A canary that fails alone loses its traffic to
// stable at once; one that is left alone keeps it.
func TestSick(t *testing.T) {
	for step, steps := range map[string][]v1alpha1.Step{
		"scale":  {builder.Scale(2), builder.Hold()},
		"header": {builder.Scale(2), builder.HeaderRoute("qa", "role", "qa"), builder.Hold()},
		"weight": {builder.Weight(40), builder.Hold()},
	} {
		for _, who := range []string{"canary", "stable", "both"} {
			t.Run(step+"-"+who, func(t *testing.T) {
				t.Parallel()
				a := app.Start(t, env, app.Options{Steps: steps, Rate: rate})
				a.SetImage(builder.ImageV2)
				a.WaitForState(v1alpha1.StatePaused)
				sicken(t, a, who)
			})
		}
	}
}

func sicken(t *testing.T, a *app.App, who string) {
	t.Helper()
	stable, canary := a.Stable(), a.Get().Status.Canary.Revision
	before := a.Get().Status.Memory.Traffic
	var excuses []app.Excuse
	var sick []string
	if who != "stable" {
		sick = append(sick, canary)
	}
	if who != "canary" {
		sick = append(sick, stable)
	}
	from := time.Now()
	for _, revision := range sick {
		died := a.Fail(revision, "true")
		excuses = append(excuses, app.Killed(revision, died))
	}
	for _, revision := range sick {
		a.Eventually("no pod of "+revision, func() (bool, string) { return a.Available(revision) == 0, a.Describe() })
	}
	if who == "canary" && (before.Weight > 0 || before.HeaderRoutes) {
		fled := a.WaitFor("all traffic on stable", func(s v1alpha1.CanaryRolloutStatus) bool {
			m := s.Memory.Traffic
			return m.Weight == 0 && !m.HeaderRoutes && m.VerifiedAt != nil
		})
		a.Answers(20)
		a.CheckNever(canary, fled.Add(app.Propagation), time.Now())
	}
	for _, revision := range sick {
		a.Fail(revision, "false")
	}
	for _, revision := range sick {
		a.Eventually("pods of "+revision, func() (bool, string) { return a.Available(revision) > 0, a.Describe() })
	}
	a.WaitFor("the step's traffic again", func(s v1alpha1.CanaryRolloutStatus) bool {
		m := s.Memory.Traffic
		return s.State == v1alpha1.StatePaused && m.Weight == before.Weight && m.HeaderRoutes == before.HeaderRoutes && m.VerifiedAt != nil
	})
	if who != "canary" { // nobody was left to answer what goes to stable
		excuses = append(excuses, app.Excuse{From: from, To: time.Now().Add(app.Propagation)})
	}
	a.Answers(20)
	promoteHeld(a, stable, excuses...)
}
