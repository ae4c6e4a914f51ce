// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// sinks makes sinks exist, and subscribes the rollout to them.
func sinks(subscriptions ...v1alpha1.Notification) change {
	return func(in *Input) {
		in.Spec.Notifications = subscriptions
		for _, subscription := range subscriptions {
			in.Observed.Sinks = append(in.Observed.Sinks, Sink{Name: subscription.Sink})
		}
	}
}

var audit = sinks(v1alpha1.Notification{Sink: "audit"})

func acceptedBy(sink string, sequence int64) change {
	return func(in *Input) { in.Observed.Delivered = append(in.Observed.Delivered, Delivered{sink, sequence}) }
}

// pendingTypes describes the transitions of a memory, as in 1 Started.
func pendingTypes(memory *v1alpha1.Memory) []string {
	var all []string
	if memory.Notifications != nil {
		for _, transition := range memory.Notifications.Pending {
			all = append(all, fmt.Sprintf("%d %s", transition.Sequence, transition.Type))
		}
	}
	return all
}

// TestTransitions records the transitions of a release until nothing more happens, once each and in their order, however often the
// rollout is looked at. Nobody accepts any of them.
func TestTransitions(t *testing.T) {
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"a release that waits": {changed(idle(weight(50), pause(0)), template("b")), "1 Started"},
		"a pause":              {midway(50, weight(50), pause(0)), "1 StepCompleted, 2 Paused"},
		"a timed pause":        {midway(50, weight(50), pause(time.Hour)), "1 StepCompleted"},
		"the end of the steps": {changed(midway(50, weight(50)), pods("b", 4)), "1 StepCompleted, 2 Promoting"},
		"a commit":             {changed(promoting(0), stableAt("b")), "1 Promoted"},
		"an abort":             {changed(midway(50, weight(50), pause(0)), command("abort=bad")), "1 Aborting"},
		"held":                 {changed(midway(50, weight(50), weight(60)), func(in *Input) { in.Spec.Paused = true }), "1 Held"},
		"superseded":           {changed(midway(50, weight(50), pause(0)), template("c")), "1 Superseded"},
		"reverted":             {changed(midway(50, weight(50), pause(0)), template("a")), "1 Reverted"},
		"nothing":              {idle(weight(50)), ""},
		"a first deploy":       {changed(firstDeploy(), func(in *Input) { in.Prior.Memory, in.Observed.ReplicaSets = nil, nil }), "1 Started"},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(tc.in, audit)
			for range 5 {
				in.Prior = Compute(in).Status
			}
			if got := strings.Join(pendingTypes(in.Prior.Memory), ", "); got != tc.want {
				t.Fatalf("recorded %s, want %s", got, tc.want)
			}
			without := Compute(tc.in).Status.Memory
			if without.Notifications != nil {
				t.Errorf("without a sink, recorded %v", pendingTypes(without))
			}
		})
	}
}

// TestTransitionIsWhole checks what a transition says.
func TestTransitionIsWhole(t *testing.T) {
	in := changed(midway(50, weight(50), pause(0)), audit, func(in *Input) { in.Generation = 7 })
	plan := Compute(in)
	in.Prior = plan.Status
	deliveries := Deliveries(&in)
	if len(deliveries) != 1 || deliveries[0].Sink != "audit" || len(deliveries[0].Transitions) != 2 {
		t.Fatalf("to deliver: %+v", deliveries)
	}
	got := deliveries[0].Transitions[1]
	want := v1alpha1.TransitionMemory{
		Sequence: 2, Type: v1alpha1.TransitionPaused, At: ago(0), Generation: 7, Revision: "b", StableRevision: "a", Images: "reviews:b",
		Step: "2/2", Weight: &v1alpha1.RevisionWeight{Verified: 50, Desired: 50}, Message: plan.Status.Message,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transition differs (-want +got):\n%s", diff)
	}
	commands := FollowingCommands("bookinfo", "reviews", &got)
	if len(commands) != 3 || commands[0].Command != "kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/promote=b/2" ||
		commands[1].Action != "promoteFull" || commands[2].Action != "abort" {
		t.Errorf("commands %+v", commands)
	}
}

// TestDegradedAndRecovered: a problem is recorded once when it comes up, and once when it is over, also if people act in between.
func TestDegradedAndRecovered(t *testing.T) {
	broken := func(in *Input) {
		in.Observed.Stable.Problem = &Problem{Reason: v1alpha1.ReasonServiceConflict, Message: "taken"}
	}
	in := changed(midway(50, weight(50), pause(0)), audit)
	in.Prior = Compute(in).Status // paused
	for range 3 {
		in.Prior = Compute(changed(in, broken)).Status
	}
	for range 3 {
		in.Prior = Compute(in).Status
	}
	if diff := cmp.Diff([]string{"1 StepCompleted", "2 Paused", "3 Degraded", "4 Recovered", "5 Paused"}, pendingTypes(in.Prior.Memory)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	in.Prior = Compute(changed(in, broken)).Status
	in.DeletedAt = in.Now
	in.Prior = Compute(in).Status
	if got := pendingTypes(in.Prior.Memory); got[len(got)-1] != "6 Degraded" {
		t.Errorf("after a deletion, recorded %v", got)
	}
	if got := in.Prior.Memory.Notifications.Pending[2].Message; !strings.Contains(got, "taken") {
		t.Errorf("the message is %q", got)
	}
}

// TestCausedBy: a transition names the user who caused it.
func TestCausedBy(t *testing.T) {
	aborted := changed(idle(pause(0)), template("b"), memory(func(m *v1alpha1.Memory) { m.AbortedRevision, m.AbortReason = "b", "bad" }))
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"start":      {changed(idle(weight(50)), template("b")), "Started alice"},
		"abort":      {changed(midway(50, weight(50), pause(0)), command("abort=bad")), "Aborting carol"},
		"promote":    {changed(midway(50, pause(0), weight(60)), inFlight, command("promote=true")), "Resumed bob, StepCompleted "},
		"full":       {changed(midway(50, weight(50), pause(0)), inFlight, command("promote=full")), "Promoting bob"},
		"retry":      {changed(aborted, command("retry=true")), "Retried dave, Started dave"},
		"superseded": {changed(midway(50, weight(50), pause(0)), template("c")), "Superseded alice"},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(tc.in, audit, users)
			for range 3 {
				in.Prior = Compute(in).Status
				if in.Prior.Memory.Command == nil {
					in.Commands = Commands{}
				}
			}
			var got []string
			for _, transition := range in.Prior.Memory.Notifications.Pending {
				got = append(got, fmt.Sprintf("%s %s", transition.Type, transition.By))
			}
			if joined := strings.Join(got, ", "); !strings.HasPrefix(joined, tc.want) {
				t.Errorf("recorded %s, want %s", joined, tc.want)
			}
		})
	}
}

// TestTwoPauses: a person ends a pause, and another one follows at once.
func TestTwoPauses(t *testing.T) {
	in := changed(midway(50, pause(0), pause(0)), audit)
	in.Prior = Compute(in).Status
	in = changed(in, command("promote=true"))
	in.Prior = Compute(in).Status
	in.Prior = Compute(in).Status
	in.Commands = Commands{}
	in.Prior = Compute(in).Status
	if diff := cmp.Diff([]string{"1 Paused", "2 Resumed", "3 StepCompleted", "4 Paused"}, pendingTypes(in.Prior.Memory)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// TestPauseAfterTimeout: a pause ends by its timeout, and another one follows in the same move.
func TestPauseAfterTimeout(t *testing.T) {
	first := v1alpha1.Step{Pause: &v1alpha1.Pause{Timeout: &metav1.Duration{Duration: 2 * time.Hour}, OnTimeout: v1alpha1.TimeoutPromote}}
	in := changed(midway(50, first, pause(0)), audit)
	in.Prior = Compute(in).Status
	in.Now = in.Now.Add(2 * time.Hour)
	for range 3 {
		in.Prior = Compute(in).Status
	}
	if diff := cmp.Diff([]string{"1 Paused", "2 StepCompleted", "3 Paused"}, pendingTypes(in.Prior.Memory)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// TestSubscriptions checks which sinks get which transitions.
func TestSubscriptions(t *testing.T) {
	known := func(in *Input) {
		in.Observed.Sinks = []Sink{
			{Name: "audit", IsDefault: true}, {Name: "chat", IsDefault: true, Transitions: []v1alpha1.Transition{v1alpha1.TransitionPaused}}, {Name: "pager"},
		}
	}
	named := func(subscriptions ...v1alpha1.Notification) change {
		return func(in *Input) { in.Spec.Notifications = subscriptions }
	}
	for name, tc := range map[string]struct {
		change change
		want   string
		reason string
	}{
		"defaults":  {named(), "audit 1 2, chat 2", ""},
		"one":       {named(v1alpha1.Notification{Sink: "pager"}), "pager 1 2", v1alpha1.ReasonSinksFound},
		"a filter":  {named(v1alpha1.Notification{Sink: "pager", Transitions: []v1alpha1.Transition{v1alpha1.TransitionPaused}}), "pager 1", v1alpha1.ReasonSinksFound},
		"no match":  {named(v1alpha1.Notification{Sink: "pager", Transitions: []v1alpha1.Transition{v1alpha1.TransitionAborted}}), "", v1alpha1.ReasonSinksFound},
		"a mistake": {named(v1alpha1.Notification{Sink: "pagr"}, v1alpha1.Notification{Sink: "chat"}), "chat 1 2", v1alpha1.ReasonSinkNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(midway(50, weight(50), pause(0)), known, tc.change)
			plan := Compute(in)
			in.Prior = plan.Status
			var got []string
			for _, delivery := range Deliveries(&in) {
				text := delivery.Sink
				for _, transition := range delivery.Transitions {
					text += fmt.Sprint(" ", transition.Sequence)
				}
				got = append(got, text)
			}
			if joined := strings.Join(got, ", "); joined != tc.want {
				t.Errorf("to deliver %s, want %s", joined, tc.want)
			}
			reason := ""
			for _, c := range plan.Status.Conditions {
				if c.Type == v1alpha1.ConditionNotified {
					reason = c.Reason
				}
			}
			if reason != tc.reason {
				t.Errorf("the condition has the reason %q, want %q", reason, tc.reason)
			}
			isWarned := strings.Contains(fmt.Sprint(plan.Events), v1alpha1.ReasonSinkNotFound)
			if isWarned != (tc.reason == v1alpha1.ReasonSinkNotFound) {
				t.Errorf("Events %+v", plan.Events)
			}
			if plan.Status.State != v1alpha1.StatePaused {
				t.Errorf("the state is %s", plan.Status.State)
			}
		})
	}
}

// TestAcceptance: what all sinks have accepted leaves the memory, what one of them has accepted is not sent to it again, and nobody
// waits for the write.
func TestAcceptance(t *testing.T) {
	in := changed(midway(50, weight(50), pause(0)), sinks(v1alpha1.Notification{Sink: "a"}, v1alpha1.Notification{Sink: "b"}))
	before := in.Prior
	in.Prior = Compute(in).Status
	if MayWait(before, in.Prior) {
		t.Error("a transition may wait to be stored")
	}
	first := in.Prior
	in.Prior = Compute(changed(in, acceptedBy("a", 2), acceptedBy("b", 1))).Status
	if !MayWait(first, in.Prior) {
		t.Error("it cannot wait to be stored that a sink has accepted a transition")
	}
	if got := pendingTypes(in.Prior.Memory); len(got) != 1 || got[0] != "2 Paused" {
		t.Errorf("pending %v", got)
	}
	if got := Deliveries(&in); len(got) != 1 || got[0].Sink != "b" || got[0].Transitions[0].Sequence != 2 {
		t.Errorf("to deliver %+v", got)
	}
	in.Prior = Compute(changed(in, acceptedBy("a", 1), acceptedBy("b", 99))).Status // an answer that came late, and one that makes no sense
	want := &v1alpha1.NotificationsMemory{Sequence: 2, Waits: v1alpha1.TransitionPaused, Pending: []v1alpha1.TransitionMemory{}, Sinks: []v1alpha1.SinkMemory{}}
	if diff := cmp.Diff(want, in.Prior.Memory.Notifications); diff != "" {
		t.Errorf("memory differs (-want +got):\n%s", diff)
	}
	if got := Deliveries(&in); got != nil {
		t.Errorf("to deliver %+v", got)
	}
	in.Observed.Sinks, in.Spec.Notifications = nil, nil
	in.Prior = Compute(in).Status
	if got := in.Prior.Memory.Notifications; got.Sequence != 2 || got.Waits != "" {
		t.Errorf("without sinks, memory has %+v", got)
	}
}

// TestOverflow: the oldest transitions are dropped when a sink accepts nothing. This is said, and the memory stays bounded.
func TestOverflow(t *testing.T) {
	broken := func(in *Input) {
		in.Observed.Stable.Problem = &Problem{Reason: v1alpha1.ReasonServiceConflict, Message: strings.Repeat("<", 1<<16)}
	}
	in := changed(midway(50, weight(50), weight(60)), audit, func(in *Input) { in.Observed.Template.Images = strings.Repeat("<", 1<<16) })
	warned := 0
	for range maxPending {
		for _, input := range []Input{changed(in, broken), in} {
			input.Prior = in.Prior
			plan := Compute(input)
			in.Prior = plan.Status
			for _, event := range plan.Events {
				if event.Reason == EventNotificationsDropped && event.Warning && event.Repeats {
					warned++
				}
			}
			checkBounds(t, in.Prior)
		}
	}
	box := in.Prior.Memory.Notifications
	if len(box.Pending) != maxPending || box.Dropped != box.Sequence-maxPending || box.Dropped != int64(warned) || box.Pending[0].Sequence != box.Dropped+1 {
		t.Errorf("%d pending from %d, %d dropped and %d warned of %d", len(box.Pending), box.Pending[0].Sequence, box.Dropped, warned, box.Sequence)
	}
}
