// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// walkSteps is a rollout whose passes are a number of seconds apart. Between them nothing happens but what a test does.
type walkSteps struct {
	in Input
	// begun is when the first pass was.
	begun time.Time
}

// atSteps is a release of b that begins its steps, with everything in place.
func atSteps(steps ...v1alpha1.Step) *walkSteps {
	in := changed(midway(20, steps...), func(in *Input) { in.Prior.Memory.StepsHash = "other" }) // so that they start over
	return &walkSteps{in: in, begun: in.Now}
}

// pass makes the passes of one moment, that many seconds after the first.
func (w *walkSteps) pass(at int, changes ...change) {
	w.in = changed(w.in, changes...)
	w.in.Now = w.begun.Add(time.Duration(at) * time.Second)
	for range 3 { // a command is accepted, then carried out
		w.in.Prior = Compute(w.in).Status
		w.in.Commands = Commands{}
	}
}

// got formats the history of the steps: number, start and end in seconds after the first pass, and waiting time.
func (w *walkSteps) got() []string {
	var all []string
	after := func(t *metav1.Time) string {
		if t == nil {
			return ""
		}
		return fmt.Sprint(t.Sub(w.begun).Seconds())
	}
	for _, entry := range w.in.Prior.StepHistory {
		all = append(all, fmt.Sprintf("%d: %s-%s, waited %d", entry.Step, after(entry.StartedAt), after(entry.EndedAt), entry.WaitingSeconds))
	}
	return all
}

func (w *walkSteps) check(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.got()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func hold(isPaused bool) change { return func(in *Input) { in.Spec.Paused = isPaused } }

// TestStepHistory: several steps that are done at once take no time, and a pause waits until it is promoted.
func TestStepHistory(t *testing.T) {
	w := atSteps(weight(20), weight(20), pause(0), weight(20), pause(time.Minute))
	w.pass(0)
	w.check(t, "1: 0-0, waited 0", "2: 0-0, waited 0", "3: 0-, waited 0")
	w.pass(30)
	w.check(t, "1: 0-0, waited 0", "2: 0-0, waited 0", "3: 0-, waited 0") // a pause in progress costs no write
	w.pass(40, command("promote=true"))
	w.check(t, "1: 0-0, waited 0", "2: 0-0, waited 0", "3: 0-40, waited 40", "4: 40-40, waited 0", "5: 40-, waited 0")
	w.pass(100)
	w.check(t, "1: 0-0, waited 0", "2: 0-0, waited 0", "3: 0-40, waited 40", "4: 40-40, waited 0", "5: 40-100, waited 60")
}

// TestStepHistoryOfStoppedClock: a timed pause does not wait for its clock while the canary does not serve.
func TestStepHistoryOfStoppedClock(t *testing.T) {
	w := atSteps(pause(time.Minute), pause(0))
	w.pass(0)
	w.pass(20, unverified)
	w.pass(50, route(func(r *Route) { r.AcceptedGeneration = 7 }))
	w.check(t, "1: 0-, waited 20")
	w.pass(90)
	w.check(t, "1: 0-90, waited 60", "2: 90-, waited 0")
}

// TestStepHistoryOfHeldStep: spec.paused waits for a person at any step.
func TestStepHistoryOfHeldStep(t *testing.T) {
	w := atSteps(weight(20), weight(20), pause(0))
	w.pass(0, hold(true))
	w.check(t, "1: 0-, waited 0")
	w.pass(30)
	w.pass(50, hold(false))
	w.check(t, "1: 0-50, waited 50", "2: 50-50, waited 0", "3: 50-, waited 0")
}

// TestStepHistoryEnds: what ends a release ends its step, and steps that never began have no entry.
func TestStepHistoryEnds(t *testing.T) {
	for name, end := range map[string]change{
		"an abort":            command("abort=true"),
		"a full promotion":    command("promote=full"),
		"a newer template":    template("c"),
		"the stable template": template("a"),
	} {
		t.Run(name, func(t *testing.T) {
			w := atSteps(weight(20), pause(0), weight(20), pause(0))
			w.pass(0)
			w.pass(10, end)
			w.check(t, "1: 0-0, waited 0", "2: 0-10, waited 10")
			w.pass(20)
			w.check(t, "1: 0-0, waited 0", "2: 0-10, waited 10")
		})
	}
}

// TestStepHistoryStartsAgain: edited steps start over, and so does the next release.
func TestStepHistoryStartsAgain(t *testing.T) {
	w := atSteps(weight(20), pause(0))
	w.pass(0)
	w.pass(10, func(in *Input) { in.Observed.StepsHash = "edited" })
	w.check(t, "1: 10-10, waited 0", "2: 10-, waited 0")
	next := changed(idle(pause(0)), template("b"), func(in *Input) { in.Prior.StepHistory = w.in.Prior.StepHistory })
	if got := Compute(next).Status.StepHistory; len(got) != 1 || got[0].EndedAt != nil || !got[0].StartedAt.Equal(seconds(next.Now)) {
		t.Errorf("the next release begins with %+v", got)
	}
}

// TestStepHistoryIsSmall: the history of all steps is written with each end of a step.
func TestStepHistoryIsSmall(t *testing.T) {
	entry := v1alpha1.StepHistoryEntry{Step: 64, StartedAt: seconds(epoch), EndedAt: seconds(epoch)}
	if encoded, err := json.Marshal(entry); err != nil || len(encoded) > 80 {
		t.Errorf("%d bytes (%v): %s", len(encoded), err, encoded)
	}
}
