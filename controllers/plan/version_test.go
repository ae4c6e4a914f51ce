// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestUnsupportedMemory: a manager leaves a rollout alone whose memory a newer one wrote, a deletion included, and says so
// once.
func TestUnsupportedMemory(t *testing.T) {
	abort := "errors"
	for name, tc := range map[string]struct {
		newer func(*v1alpha1.Memory)
		says  string
	}{
		"a newer version":    {func(m *v1alpha1.Memory) { m.Version = v1alpha1.MemoryVersion + 1 }, "its memory has version 2"},
		"an unknown phase":   {func(m *v1alpha1.Memory) { m.Phase = "Analysing" }, `does not know the phase "Analysing"`},
		"an unknown command": {func(m *v1alpha1.Memory) { m.Command = &v1alpha1.CommandMemory{Command: "Skip"} }, `does not know the command "Skip"`},
	} {
		t.Run(name, func(t *testing.T) {
			// Everything asks for writes: a route that was overwritten, a command, another template, a deletion.
			in := changed(midway(50, weight(50)), route(func(r *Route) { r.Weight = 0 }), template("c"), memory(tc.newer), func(in *Input) {
				in.Commands.Abort, in.DeletedAt = &abort, in.Now.Add(-time.Hour)
			})
			got := Compute(in)
			if len(got.Actions) != 0 || !got.WakeAt.IsZero() || len(got.Measurements) != 0 {
				t.Errorf("it acts: %v", described(got.Actions))
			}
			if diff := cmp.Diff(in.Prior.Memory, got.Status.Memory); diff != "" {
				t.Errorf("memory differs (-was +is):\n%s", diff)
			}
			stalled := conditionOf(got, v1alpha1.ConditionStalled)
			if stalled.Reason != v1alpha1.ReasonUnsupportedMemoryVersion || got.Status.State != v1alpha1.StateDegraded || !strings.Contains(got.Status.Message, tc.says) {
				t.Errorf("it says %s, %s: %s", got.Status.State, stalled.Reason, got.Status.Message)
			}
			if len(got.Events) != 1 || !got.Events[0].Warning || got.Events[0].Reason != v1alpha1.ReasonUnsupportedMemoryVersion {
				t.Errorf("events = %+v", got.Events)
			}
			in.Prior = got.Status
			if again := Compute(in); len(again.Events) != 0 || !cmp.Equal(again.Status, got.Status) {
				t.Errorf("the same once more: %+v", again)
			}
			rollout := &v1alpha1.CanaryRollout{Spec: in.Spec, Status: in.Prior}
			if refused := Refused(rollout, "c", v1alpha1.AbortAnnotation, abort); !strings.Contains(refused, tc.says) {
				t.Errorf("an abort is refused by %q", refused)
			}
		})
	}
	if got := Compute(midway(50, weight(50))).Status.Memory.Version; got != v1alpha1.MemoryVersion {
		t.Errorf("memory is written with version %d, want %d", got, v1alpha1.MemoryVersion)
	}
}

// TestUpgrade checks that a release in flight does not start over because the hash of its steps is now computed differently.
// Steps that were edited while no manager ran still start over.
func TestUpgrade(t *testing.T) {
	in := changed(midway(50, weight(50), pause(0)), func(in *Input) {
		in.Prior.Memory.StepIndex, in.Observed.StepsHash = 1, "over the raw steps"
	})
	got := Compute(in).Status.Memory
	if got.StepIndex != 1 || got.StepsHash != "over the raw steps" {
		t.Errorf("upgraded to step %d of %s", got.StepIndex, got.StepsHash)
	}
	edited := changed(in, func(in *Input) { in.Spec.Steps = []v1alpha1.Step{weight(50), pause(1)} })
	if got := ComputeMove(edited).Status.Memory; got.StepIndex != 0 {
		t.Errorf("steps that were edited are at step %d", got.StepIndex)
	}
}
