// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// seen is the rollout that a user sees in a state: the memory of it, and the report about it.
func seen(in Input) *v1alpha1.CanaryRollout {
	in.Prior.Memory = in.Prior.Memory.DeepCopy()
	rollout := &v1alpha1.CanaryRollout{Spec: in.Spec, Status: Compute(in).Status}
	rollout.Status.Memory = in.Prior.Memory
	return rollout
}

// TestRefused checks that clients that ask before they write get the same answer as from the operator.
func TestRefused(t *testing.T) {
	for _, state := range commandStates() {
		for i, text := range commandTexts {
			t.Run(state.name+" "+text, func(t *testing.T) {
				key, value, _ := strings.Cut(text, "=")
				got := Refused(seen(state.in), state.in.Observed.Template.Revision, "canaryrollout.dev/"+key, value)
				if got != state.want[i] {
					t.Errorf("refused for %q, want %q", got, state.want[i])
				}
			})
		}
	}
}

func TestRefusedWithoutMemory(t *testing.T) {
	rollout := &v1alpha1.CanaryRollout{}
	if got := Refused(rollout, "a", v1alpha1.AbortAnnotation, "true"); got != "the operator has not reconciled the rollout yet" {
		t.Errorf("got %q", got)
	}
	rollout.Status.Memory = &v1alpha1.Memory{}
	if got := Refused(rollout, "a", "x", "true"); got != "x is not a command" {
		t.Errorf("got %q", got)
	}
}

// TestCurrentStep checks the position of the marker in a list of steps.
func TestCurrentStep(t *testing.T) {
	edited := changed(midway(20, pause(0)), func(in *Input) {
		in.Spec.Steps, in.Generation = []v1alpha1.Step{pause(1), pause(2)}, 2
	})
	for name, tc := range map[string]struct {
		in     Input
		index  int
		paused bool
	}{
		"idle":              {idle(pause(0)), -1, false},
		"at a weight":       {midway(20, weight(20)), 0, false},
		"at a pause":        {midway(20, pause(0)), 0, true},
		"steps were edited": {edited, 0, false},
		"all are done":      {midway(20), 0, false},
		"being promoted":    {changed(promoting(100), func(in *Input) { in.Spec.Steps = []v1alpha1.Step{pause(0)} }), 1, false},
		"going back":        {rollingBack(20), -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Prior.ObservedGeneration = 1
			rollout := &v1alpha1.CanaryRollout{Spec: tc.in.Spec, Status: tc.in.Prior}
			rollout.Generation = tc.in.Generation
			index, pause := CurrentStep(rollout)
			if index != tc.index || (pause != nil) != tc.paused {
				t.Errorf("at %d, pause %v; want %d, %v", index, pause, tc.index, tc.paused)
			}
		})
	}
	if index, _ := CurrentStep(&v1alpha1.CanaryRollout{}); index != -1 {
		t.Errorf("at %d without a memory", index)
	}
}
