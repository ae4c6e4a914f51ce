// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestNotableSteps checks which steps have an Event at their end. A release whose steps fly by has none for them.
func TestNotableSteps(t *testing.T) {
	lasts := func(seconds int) change {
		return memory(func(m *v1alpha1.Memory) { m.TransitionedAt = ago(seconds) })
	}
	for name, tc := range map[string]struct {
		in   Input
		want bool
	}{
		"fast":                 {changed(midway(20, weight(20), weight(25)), lasts(9)), false},
		"slow":                 {changed(midway(20, weight(20), weight(25)), lasts(10)), true},
		"before a pause":       {changed(midway(20, weight(20), pause(0)), lasts(0)), true},
		"a pause":              {changed(midway(20, pause(5*time.Second), weight(25)), lasts(5)), true},
		"before an analysis":   {changed(midway(20, weight(20), gateStep("")), lasts(0)), true},
		"the last one, fast":   {changed(midway(20, weight(20)), lasts(9)), false},
		"the last one, slow":   {changed(midway(20, weight(20)), lasts(10)), true},
		"a minute of one step": {changed(midway(20, weight(20), weight(25)), lasts(60)), true},
	} {
		t.Run(name, func(t *testing.T) {
			got := false
			for _, event := range compute(tc.in, gatewayCanary{}).Events {
				got = got || event.Reason == EventStepCompleted
			}
			if got != tc.want {
				t.Errorf("an Event: %t, want %t", got, tc.want)
			}
		})
	}
}
