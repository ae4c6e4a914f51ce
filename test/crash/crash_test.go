// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// scenario is a part of a rollout's life in which the manager is disturbed.
type scenario struct {
	options harness.Options
	// prepare runs undisturbed, drive disturbed, until everything is complete.
	prepare, drive func(a *harness.App)
}

// result is the outcome of a scenario.
type result struct {
	// end is the final state.
	end string
	// commands are those that were carried out.
	commands []string
}

// run disturbs a scenario, and checks that it has the wanted result, if there is one. It returns the result, and how
// many writes and reads there were.
func (s scenario) run(t *testing.T, f fault, k int, want *result) (got result, writes, reads int) {
	t.Helper()
	s.options.Rate = rate
	a := harness.Prepare(t, env, s.options)
	d := supervise(t, a.Namespace)
	d.caughtUp = a.Touch
	a.Create(a.Rollout(s.options))
	a.WaitForState(v1alpha1.StateHealthy)
	a.StartTraffic()
	if s.prepare != nil {
		s.prepare(a)
	}
	d.arm(f, k)
	s.drive(a)
	hit, writes, reads := d.was()
	if f != none && hit == "" {
		t.Logf("came to its end in %d writes and %d reads, so nothing was hit", writes, reads)
	} else {
		t.Logf("%s: %s", f, hit)
	}
	if want != nil {
		checkEnd(a, *want)
	}
	got = result{a.Describe(), harness.CarriedOut(a.Moments())}
	if want != nil {
		if diff := cmp.Diff(want.commands, got.commands); diff != "" {
			t.Errorf("the commands that were carried out (-undisturbed +disturbed):\n%s", diff)
		}
	}
	a.CheckRoute()
	a.CheckLoss()
	return got, writes, reads
}

// checkEnd waits for the final state.
func checkEnd(a *harness.App, want result) {
	a.Eventually("the end that it comes to undisturbed", func() (bool, string) {
		diff := cmp.Diff(want.end, a.Describe())
		return diff == "", "(-undisturbed +disturbed):\n" + diff
	})
}

// everywhere runs a scenario undisturbed, and then with every fault at every write: it must reach the same end, by
// the same commands. The short run uses a few of the writes, evenly spaced.
func (s scenario) everywhere(t *testing.T) {
	t.Parallel()
	var want result
	var writes, reads int
	t.Run("undisturbed", func(t *testing.T) {
		want, writes, reads = s.run(t, none, 0, nil)
		t.Logf("%d writes, %d reads that can lag; commands %q; the end:\n%s", writes, reads, want.commands, want.end)
	})
	if t.Failed() {
		return
	}
	for _, f := range faults {
		count, runs := writes, 1
		switch f {
		case lags:
			count = reads
		case dies:
			runs = 3
		}
		for _, k := range spread(count, runs) {
			t.Run(fmt.Sprintf("%s-%d", f, k), func(t *testing.T) {
				t.Parallel()
				s.run(t, f, k, &want)
			})
		}
	}
}

// spread returns all numbers from 1 to count; without -long only this many of them.
func spread(count, runs int) (ks []int) {
	if *long {
		runs = count
	}
	for i := range runs {
		ks = append(ks, 1+(2*i+1)*count/(2*runs))
	}
	return slices.Compact(ks)
}

func TestRelease(t *testing.T) {
	scenario{
		options: harness.Options{Steps: []v1alpha1.Step{
			builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Weight(20), builder.Hold(), builder.Weight(60),
		}},
		drive: func(a *harness.App) {
			v1 := a.Stable()
			a.SetImage(builder.ImageV2)
			a.WaitForPause("3/6")
			a.Annotate(v1alpha1.PromoteAnnotation, "true") // a promote that is carried out twice would also pass the next pause
			a.WaitForPause("5/6")
			a.Annotate(v1alpha1.PromoteAnnotation, "true")
			a.CheckPromoted(v1)
		},
	}.everywhere(t)
}

func TestAbort(t *testing.T) {
	scenario{
		options: harness.Options{Steps: []v1alpha1.Step{builder.Hold()}},
		prepare: func(a *harness.App) {
			a.SetImage(builder.ImageV2)
			a.WaitForPause("1/1")
			a.Annotate(v1alpha1.PromoteAnnotation, "full")
			a.WaitFor("the stable Service to move", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.Memory.StableService.Revision == s.Memory.CurrentRevision && s.Memory.StableService.ReadyAt != nil
			})
		},
		drive: func(a *harness.App) {
			canary := a.Get().Status.Canary.Revision
			a.Annotate(v1alpha1.AbortAnnotation, "too many errors")
			a.WaitForState(v1alpha1.StateAborted)
			a.WaitForDrain(canary)
		},
	}.everywhere(t)
}

// at40 is a release that pauses at 40 %.
var at40 = scenario{
	options: harness.Options{Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}},
	prepare: func(a *harness.App) {
		a.SetImage(builder.ImageV2)
		a.WaitForPause("2/2")
	},
}

func TestSupersede(t *testing.T) {
	s := at40
	s.drive = func(a *harness.App) {
		v1, v2 := a.Stable(), a.Get().Status.Canary.Revision
		a.SetImage(builder.ImageV3)
		a.WaitFor("version 3 at its pause", func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.State == v1alpha1.StatePaused && s.Step == "2/2" && s.Canary.Revision != v2
		})
		a.Annotate(v1alpha1.PromoteAnnotation, "true")
		a.CheckPromoted(v1)
		a.WaitForDrain(v2)
	}
	s.everywhere(t)
}

// TestDeletion deletes with --cascade=orphan, so that stable pods remain to answer.
func TestDeletion(t *testing.T) {
	s := at40
	s.drive = func(a *harness.App) { a.DeleteOrphaning() }
	s.everywhere(t)
}

func TestAdoption(t *testing.T) {
	s := scenario{options: harness.Options{Steps: []v1alpha1.Step{builder.Weight(40), builder.Hold()}}}
	s.prepare = func(a *harness.App) { a.DeleteOrphaning() }
	s.drive = func(a *harness.App) {
		a.Create(a.Rollout(s.options))
		a.WaitForState(v1alpha1.StateHealthy)
	}
	s.everywhere(t)
}
