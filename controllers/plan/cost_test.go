// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// cost is what the operator does until a rollout rests again.
type cost struct {
	// writes are those of the status, actions those of other objects.
	writes, actions, events int
	// passes are made with one view each.
	passes int
}

// price lets the operator work in a world where everybody else reacts at once, until the rollout rests.
func price(t *testing.T, w *world, rests func(*world) bool) cost {
	t.Helper()
	var spent cost
	reported := w.status // as stored: a report may wait
	for range 200 {
		spent.passes++
		prior := w.status
		plan := spent.pass(w, &reported)
		// A pass that only wrote targets is followed by one that acts on them, with the same view.
		if len(plan.Actions) == 0 && SameObjects(prior.Memory, w.status.Memory) && len(Compute(w.input()).Actions) > 0 {
			spent.pass(w, &reported)
		}
		if rests(w) {
			break
		}
		w.settleAll()
		next := Compute(w.input())
		if !w.isIdle(next) {
			continue
		}
		if next.WakeAt.IsZero() {
			break
		}
		spent.report(w, &reported)
		w.tick(next.WakeAt)
	}
	spent.report(w, &reported)
	if !rests(w) {
		t.Errorf("%s: %s", w.status.State, w.status.Message)
	}
	return spent
}

// pass makes a pass and adds up what it costs.
func (c *cost) pass(w *world, reported *v1alpha1.CanaryRolloutStatus) Plan {
	plan := w.reconcile()
	c.actions += len(plan.Actions)
	c.events += len(eventsOf(plan))
	if !MayWait(*reported, w.status) {
		c.report(w, reported)
	}
	return plan
}

// report writes the status.
func (c *cost) report(w *world, reported *v1alpha1.CanaryRolloutStatus) {
	if !equality.Semantic.DeepEqual(*reported, w.status) {
		c.writes++
		*reported = w.status
	}
}

// isIn reports whether the revision of the template has come to a state.
func isIn(state v1alpha1.State) func(*world) bool {
	return func(w *world) bool { return w.status.State == state && w.status.Revision == name(w.template) }
}

// TestCost: the design page says on paper how many status writes each kind of step, a promotion, an abort and a supersede need at
// least. This is what they need, so that no change makes a release more expensive unnoticed.
func TestCost(t *testing.T) {
	var tenths []v1alpha1.Step
	for i := range int32(10) {
		tenths = append(tenths, weight(10*i+10))
	}
	at20 := []v1alpha1.Step{weight(20), pause(0), weight(40)}
	promote := func(w *world) { w.commands.Promote = ptr.To("true") }
	abort := func(w *world) { w.commands.Abort = ptr.To("true") }
	supersede := func(w *world) { w.template = revC }
	for name, tc := range map[string]struct {
		steps  []v1alpha1.Step
		settle int32
		begin  func(*world)
		rests  v1alpha1.State
		want   cost
	}{
		"ten weights":              {steps: tenths, rests: v1alpha1.StateHealthy, want: cost{writes: 15, actions: 14, events: 4, passes: 15}},
		"ten weights that settle":  {steps: tenths, settle: 5, rests: v1alpha1.StateHealthy, want: cost{writes: 19, actions: 14, events: 4, passes: 19}},
		"nine weights, and to 100": {steps: tenths[:9], rests: v1alpha1.StateHealthy, want: cost{writes: 15, actions: 14, events: 4, passes: 15}},
		"a weight":                 {steps: []v1alpha1.Step{weight(50)}, rests: v1alpha1.StateHealthy, want: cost{writes: 7, actions: 6, events: 4, passes: 7}},
		"two weights":              {steps: []v1alpha1.Step{weight(50), weight(60)}, rests: v1alpha1.StateHealthy, want: cost{writes: 8, actions: 7, events: 4, passes: 8}},
		"a scale":                  {steps: []v1alpha1.Step{canaryScale(1)}, rests: v1alpha1.StateHealthy, want: cost{writes: 7, actions: 5, events: 4, passes: 6}},
		"header routes":            {steps: []v1alpha1.Step{headerStep()}, rests: v1alpha1.StateHealthy, want: cost{writes: 7, actions: 6, events: 4, passes: 8}},
		"a mirror":                 {steps: []v1alpha1.Step{mirrorStep(50)}, rests: v1alpha1.StateHealthy, want: cost{writes: 7, actions: 6, events: 4, passes: 7}},
		"a pause after a weight":   {steps: []v1alpha1.Step{weight(50), pause(time.Minute)}, rests: v1alpha1.StateHealthy, want: cost{writes: 8, actions: 6, events: 6, passes: 8}},
		"to a pause":               {steps: at20, rests: v1alpha1.StatePaused, want: cost{writes: 4, actions: 3, events: 3, passes: 4}},
		"a promote, and the rest":  {steps: at20, begin: promote, rests: v1alpha1.StateHealthy, want: cost{writes: 6, actions: 5, events: 5, passes: 6}},
		"an abort":                 {steps: at20, begin: abort, rests: v1alpha1.StateAborted, want: cost{writes: 4, actions: 3, events: 2, passes: 3}},
		"a supersede":              {steps: at20, begin: supersede, rests: v1alpha1.StatePaused, want: cost{writes: 6, actions: 5, events: 5, passes: 6}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1, tc.steps...)
			w.spec.Traffic.SettleSeconds = &tc.settle
			deploy(t, w)
			if tc.begin != nil {
				price(t, w, isIn(v1alpha1.StatePaused))
				w.settleAll()
				tc.begin(w)
			}
			if got := price(t, w, isIn(tc.rests)); got != tc.want {
				t.Errorf("costs %+v, want %+v", got, tc.want)
			}
		})
	}
}
