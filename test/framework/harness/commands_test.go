// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestCarriedOut covers a promote whose annotation was processed a second time: the rollout ends in the same state,
// but the list of commands differs.
func TestCarriedOut(t *testing.T) {
	at := func(step int32, command *v1alpha1.CommandMemory) Moment {
		return Moment{Status: v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{
			Phase: v1alpha1.PhaseStepping, StepIndex: step, Command: command,
		}}}
	}
	promote := func(step int32) *v1alpha1.CommandMemory {
		return &v1alpha1.CommandMemory{Command: v1alpha1.CommandPromote, Revision: "b", StepIndex: step}
	}
	got := CarriedOut([]Moment{
		{}, at(2, nil), at(2, promote(2)), at(2, promote(2)), at(3, nil), at(3, nil), at(4, promote(4)), at(5, nil),
	})
	want := []string{"Promote at step 2 of revision b: Stepping, step 3", "Promote at step 4 of revision b: Stepping, step 5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}
