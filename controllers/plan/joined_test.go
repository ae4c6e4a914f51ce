// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestMovesOfOnePass checks how far a pass goes: as far as what it has observed permits, and not to what needs an action, another
// observation, time, or a command that was given for a step that has not begun.
func TestMovesOfOnePass(t *testing.T) {
	promoted := func(with string) change {
		return memory(func(m *v1alpha1.Memory) {
			m.Command = &v1alpha1.CommandMemory{Command: v1alpha1.CommandPromote, Revision: "b", Annotations: []v1alpha1.CommandAnnotation{
				{Key: v1alpha1.PromoteAnnotation, Value: with},
			}}
		})
	}
	removal := []string{"RemoveAnnotations " + v1alpha1.PromoteAnnotation}
	full := func(steps ...v1alpha1.Step) Input { return changed(midway(100, steps...), pods("b", 4)) }
	for name, tc := range map[string]struct {
		in           Input
		want         string
		actions      []string
		isUnfinished bool
		says         string
	}{
		"a weight, then a weight": {in: midway(20, weight(20), weight(25)), want: "Stepping 1: 25% a/b", says: "waiting for weight 25 to be verified"},
		"a weight, then pods": {in: midway(20, weight(20), weight(100)), want: "Stepping 1: 20% a/b",
			says: "waiting for 4 available pods of revision b: 1 so far"},
		"a weight, then pauses":      {in: midway(20, weight(20), pause(0), pause(0)), want: "Stepping 1: 20% a/b"},
		"the same weight many times": {in: midway(20, weight(20), weight(20), weight(20), weight(20)), want: "Promoting 4: 20% a/b"},
		"the last weight":            {in: full(weight(100)), want: "Promoting 1: 100% b/b"},
		"the last weight, not settled": {in: changed(full(weight(100)), verified(1)), want: "Promoting 1: 100% a/b",
			says: "weight 100 is verified and settles until 01:00:04Z"},
		"a commit, and the drain": {in: changed(promoting(0), stableAt("b")), want: "Idle 0: 0% b/b", says: "revision b serves all traffic"},
		"a header route": {in: midway(20, weight(20), headerStep()), want: "Stepping 1: 20% a/b +headers", isUnfinished: true,
			says: "step 2/2 of revision b"},
		"a promote": {in: changed(midway(20, pause(0), weight(25), pause(0)), promoted("true"), command("promote=true")), want: "Stepping 1: 25% a/b",
			actions: removal, isUnfinished: true, says: "waiting for weight 25 to be verified"},
		"a promote, then a pause": {in: changed(midway(20, pause(0), pause(0)), promoted("true"), command("promote=true")), want: "Stepping 1: 20% a/b",
			actions: removal},
		"a promote that came later": {in: changed(midway(20, pause(0), pause(0)), promoted("b/1"), command("promote=true")), want: "Stepping 1: 20% a/b",
			isUnfinished: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in)
			if diff := cmp.Diff(tc.want, targets(got.Status.Memory)); diff != "" {
				t.Errorf("targets differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.actions, described(got.Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			if got.Unfinished != tc.isUnfinished {
				t.Errorf("unfinished: %t", got.Unfinished)
			}
			if got.Status.Memory.Command != nil {
				t.Errorf("a command for step %d is in memory", got.Status.Memory.Command.StepIndex+1)
			}
			if tc.says != "" && got.Status.Message != tc.says {
				t.Errorf("says %q, want %q", got.Status.Message, tc.says)
			}
		})
	}
}

// TestTransitionTimesOfOnePass: a release that is superseded while nothing has to be moved back is over, and the next one paused, in
// the same pass. A condition that is True before and after it has not changed.
func TestTransitionTimesOfOnePass(t *testing.T) {
	in := changed(midway(0, pause(0)), canaryAt("a"), pods("b", 0))
	in.Prior = Compute(in).Status
	before := conditionOf(Compute(in), v1alpha1.ConditionPaused)
	in.Now = in.Now.Add(time.Minute)
	got := Compute(changed(in, template("c")))
	after := conditionOf(got, v1alpha1.ConditionPaused)
	if got.Status.Memory.CurrentRevision != "c" || before.Status != metav1.ConditionTrue || after.Status != metav1.ConditionTrue ||
		!after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("revision %s: Paused was %s since %s, and is %s since %s", got.Status.Memory.CurrentRevision, before.Status, before.LastTransitionTime,
			after.Status, after.LastTransitionTime)
	}
}

// TestMayWait checks which changes of a status wait: those of texts and counts.
func TestMayWait(t *testing.T) {
	prior := Compute(midway(20, pause(0))).Status
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CanaryRolloutStatus)
		want   bool
	}{
		"nothing":             {func(*v1alpha1.CanaryRolloutStatus) {}, true},
		"a message":           {func(s *v1alpha1.CanaryRolloutStatus) { s.Message = "x" }, true},
		"ready pods":          {func(s *v1alpha1.CanaryRolloutStatus) { s.Ready, s.Canary.Ready, s.Replicas = "5/6", 1, 3 }, true},
		"what a gateway says": {func(s *v1alpha1.CanaryRolloutStatus) { s.Traffic.Routes[0].Pending = "x" }, true},
		"a condition's text":  {func(s *v1alpha1.CanaryRolloutStatus) { s.Conditions[0].Message = "x" }, true},
		"a condition":         {func(s *v1alpha1.CanaryRolloutStatus) { s.Conditions[0].Status = "Unknown" }, false},
		"a reason":            {func(s *v1alpha1.CanaryRolloutStatus) { s.Conditions[0].Reason = "x" }, false},
		"a generation":        {func(s *v1alpha1.CanaryRolloutStatus) { s.ObservedGeneration++ }, false},
		"a state":             {func(s *v1alpha1.CanaryRolloutStatus) { s.State = v1alpha1.StateDegraded }, false},
		"a pause":             {func(s *v1alpha1.CanaryRolloutStatus) { s.Pause = nil }, false},
		"a weight":            {func(s *v1alpha1.CanaryRolloutStatus) { s.Traffic.VerifiedWeight = 5 }, false},
		"memory":              {func(s *v1alpha1.CanaryRolloutStatus) { s.Memory.Traffic.Routes = nil }, false},
		"the history":         {func(s *v1alpha1.CanaryRolloutStatus) { s.History = []v1alpha1.HistoryEntry{{}} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			next := *prior.DeepCopy()
			tc.change(&next)
			if got := MayWait(prior, next); got != tc.want {
				t.Errorf("MayWait() = %t", got)
			}
			if next.Conditions[0].Type != prior.Conditions[0].Type {
				t.Error("the statuses were changed")
			}
		})
	}
}
