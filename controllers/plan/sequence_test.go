// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// transcript is a whole rollout in words: one line per action with its reason, per event, and per change of state.
type transcript struct {
	*world
	t     *testing.T
	lines []string
	state string
}

func (tr *transcript) say(format string, args ...any) {
	tr.lines = append(tr.lines, fmt.Sprintf("%6.1fs  ", tr.now.Sub(epoch).Seconds())+fmt.Sprintf(format, args...))
}

func (tr *transcript) user(format string, args ...any) {
	tr.lines = append(tr.lines, "")
	tr.say("USER    "+format, args...)
}

// run continues until only a person can make progress, or until the condition holds.
func (tr *transcript) run(until func(*world) bool) {
	tr.t.Helper()
	for range 1000 {
		prior := tr.status
		plan := tr.reconcile()
		tr.record(plan)
		tr.checkHealth()
		tr.checkChange(prior)
		if until != nil && until(tr.world) {
			return
		}
		if len(plan.Actions) > 0 || !equality.Semantic.DeepEqual(prior, plan.Status) {
			tr.settleAll()
			continue
		}
		if plan.WakeAt.IsZero() || plan.WakeAt.Sub(tr.now) > 10*time.Minute {
			return
		}
		tr.tick(plan.WakeAt)
	}
	tr.t.Fatalf("no end after 1000 passes:\n%s", strings.Join(tr.lines, "\n"))
}

func (tr *transcript) record(plan Plan) {
	for _, action := range plan.Actions {
		tr.say("ACTION  %s: %s", describeAction(action), action.Because())
	}
	for _, event := range eventsOf(plan) {
		kind := "EVENT  "
		if event.Warning {
			kind = "WARNING"
		}
		tr.say("%s %s: %s", kind, event.Reason, event.Message)
	}
	s := plan.Status
	state := fmt.Sprintf("%s step %s weight %s ready %s: %s", s.State, s.Step, s.Weight, s.Ready, s.Message)
	if state != tr.state {
		tr.say("STATE   %s", state)
		tr.state = state
	}
}

func describeAction(action Action) string {
	text := strings.TrimPrefix(reflect.TypeOf(action).String(), "plan.")
	switch a := action.(type) {
	case SetTraffic:
		text += fmt.Sprintf(" %s weight=%d headerRoutes=%d", a.Name, a.Weight, len(a.HeaderRoutes))
		if a.Mirror > 0 {
			text += fmt.Sprintf(" mirror=%d", a.Mirror)
		}
	case PointService:
		text += fmt.Sprintf(" %s -> %q", a.Name, a.Revision)
	case CreateReplicaSet:
		text += fmt.Sprintf(" %s replicas=%d", a.Revision, a.Replicas)
	case MarkReplicaSet:
		text += fmt.Sprintf(" %s promotion=%d aborted=%q", a.Name, a.Marks.Promotion, a.Marks.AbortReason)
	case SetReplicas:
		text += fmt.Sprintf(" %d", a.Replicas)
	case ScaleReplicaSet:
		text += fmt.Sprintf(" %s replicas=%d", a.Name, a.Replicas)
	case DeleteReplicaSet:
		text += " " + a.Name
	case RemoveAnnotations:
		text += " " + strings.Join(a.Keys, ",")
	}
	return text
}

func bookinfoSteps() []v1alpha1.Step {
	return []v1alpha1.Step{
		canaryScale(1), headerStep(), pause(0), weight(10), pause(10 * time.Second), weight(20), pause(10 * time.Second),
		weight(40), pause(10 * time.Second), weight(60), pause(10 * time.Second), weight(100),
	}
}

func isAtPause(w *world) bool { return w.status.State == v1alpha1.StatePaused }

func isAtWeight(want int32) func(*world) bool {
	return func(w *world) bool { return w.status.Traffic.VerifiedWeight == want }
}

func TestSequences(t *testing.T) {
	deploy := func(tr *transcript) {
		tr.user("applies revision a")
		tr.run(nil)
		tr.user("applies revision b")
		tr.template = revB
	}
	promote := func(tr *transcript, value string) {
		tr.user("promote=%s", value)
		tr.commands.Promote = &value
	}
	cases := map[string]func(tr *transcript){
		"bookinfo": func(tr *transcript) {
			deploy(tr)
			tr.run(nil)
			promote(tr, "true")
			tr.run(nil)
		},
		"migration": func(tr *transcript) {
			migrate(tr.world)
			tr.user("applies revision a beside 4 pods of somebody else, which answer already")
			tr.run(nil)
		},
		"promote-full": func(tr *transcript) {
			deploy(tr)
			tr.run(isAtPause)
			promote(tr, "full")
			tr.run(nil)
		},
		"abort-at-40": func(tr *transcript) {
			deploy(tr)
			tr.run(nil)
			promote(tr, "true")
			tr.run(isAtWeight(40))
			tr.user("abort: too many errors")
			tr.commands.Abort = ptr.To("too many errors")
			tr.run(nil)
			tr.user("retry")
			tr.commands.Retry = ptr.To("true")
			tr.run(nil)
		},
		"abort-in-promotion": func(tr *transcript) {
			deploy(tr)
			tr.run(isAtPause)
			promote(tr, "full")
			tr.run(func(w *world) bool { return w.stable.selector == revB })
			tr.user("abort")
			tr.commands.Abort = ptr.To("true")
			tr.run(nil)
		},
		"superseded-at-20": func(tr *transcript) {
			deploy(tr)
			tr.run(nil)
			promote(tr, "true")
			tr.run(isAtWeight(20))
			tr.user("applies revision c")
			tr.template = revC
			tr.run(nil)
		},
		"dying-canary-at-40": func(tr *transcript) {
			deploy(tr)
			tr.run(nil)
			promote(tr, "true")
			tr.run(isAtWeight(40))
			tr.user("every canary pod dies")
			tr.sets[revB].ready, tr.sets[revB].killed = 0, true
			tr.syncSlices(&tr.canary)
			tr.run(nil)
		},
		"deletion-at-20": func(tr *transcript) {
			deploy(tr)
			tr.run(nil)
			promote(tr, "true")
			tr.run(isAtWeight(20))
			tr.user("deletes the rollout")
			tr.deleted = tr.now
			tr.run(func(w *world) bool { return w.gone })
		},
	}
	for caseName, play := range cases {
		t.Run(caseName, func(t *testing.T) {
			tr := &transcript{world: newWorld(4, bookinfoSteps()...), t: t}
			play(tr)
			golden.Check(t, "testdata/"+caseName+".golden", strings.Join(tr.lines, "\n")+"\n")
		})
	}
}
