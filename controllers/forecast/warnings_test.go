// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// good returns steps without a risk.
func good() []v1alpha1.Step {
	return []v1alpha1.Step{builder.Weight(25), builder.Pause(10 * time.Second), builder.Weight(50), builder.Weight(100)}
}

func TestWarnings(t *testing.T) {
	qa, long := builder.HeaderRoute("qa", "role", "qa"), builder.Pause(time.Hour)
	tests := map[string]struct {
		rollout  *builder.Rollout
		podReady time.Duration
		want     []string
	}{
		"good":                      {rollout: rollout(good()...)},
		"no steps":                  {rollout: rollout(), want: []string{"NoPauseBefore50"}},
		"held at a person alone":    {rollout: rollout(builder.Hold())},
		"a timeout is a person too": {rollout: rollout(builder.HoldAtMost(time.Hour, v1alpha1.TimeoutPromote), builder.Weight(50))},
		"testers first":             {rollout: rollout(qa, long, builder.Weight(50))},
		"a pause before traffic":    {rollout: rollout(builder.Scale(1), long, builder.Weight(50)), want: []string{"NoPauseBefore50"}},
		"a pause after half":        {rollout: rollout(builder.Weight(10), builder.Weight(50), long), want: []string{"NoPauseBefore50"}},
		"pauses too short": {rollout: rollout(builder.Weight(10), builder.Pause(4*time.Second), builder.Weight(20), builder.Pause(5*time.Second),
			builder.Weight(50)), want: []string{"NoPauseBefore50"}},
		"pauses add up": {rollout: rollout(builder.Weight(10), builder.Pause(5*time.Second), builder.Weight(20), builder.Pause(5*time.Second),
			builder.Weight(50))},
		"at once to 60":         {rollout: rollout(builder.Hold(), builder.Weight(60)), want: []string{"FirstWeightOver50 1"}},
		"at once to 100":        {rollout: rollout(builder.Weight(100)), want: []string{"FirstWeightOver50 0", "NoPauseBefore50"}},
		"down":                  {rollout: rollout(builder.Weight(40), builder.Hold(), builder.Weight(20), builder.Weight(10)), want: []string{"WeightGoesDown 2"}},
		"a pause at 100":        {rollout: rollout(append(good(), builder.Hold())...)},
		"a step after 100":      {rollout: rollout(append(good(), builder.Hold(), builder.Scale(8), qa)...), want: []string{"StepsAfter100 5"}},
		"an analysis is a look": {rollout: rollout(builder.Weight(10), analysisStep(5*time.Minute, compared("a")), builder.Weight(50))},
		"an analysis at 100":    {rollout: rollout(append(good(), analysisStep(5*time.Minute, thresholdOf("a", 1)))...)},
		"a weight after 100":    {rollout: rollout(append(good(), builder.Weight(100))...), want: []string{"StepsAfter100 4"}},
		"one replica":           {rollout: rollout(good()...).Replicas(1), want: []string{"OneReplica"}},
		"one replica, no split": {rollout: rollout(qa, builder.Hold(), builder.Weight(0)).
			Replicas(1)},
		"no replicas": {rollout: rollout().Replicas(0), want: []string{"NoReplicas"}},
		"pinned":      {rollout: rollout(exactly(1), builder.Weight(30), builder.Hold()), want: []string{"PinnedBelowShare 1"}},
		"pinned right": {rollout: rollout(exactly(2), builder.Weight(50), builder.Hold(), builder.Weight(75)),
			want: []string{"NoPauseBefore50", "PinnedBelowShare 3"}},
		"rounded far up":         {rollout: rollout(builder.Weight(5), builder.Hold()).Replicas(2), want: []string{"PodsFarFromWeight 0"}},
		"rounded up":             {rollout: rollout(builder.Weight(5), builder.Hold()).Replicas(4)},
		"no settling":            {rollout: rollout(good()...).Settle(0), want: []string{"NoSettling"}},
		"no delay":               {rollout: rollout(good()...).ScaleDownDelay(0), want: []string{"NoScaleDownDelay"}},
		"deadline before a pod":  {rollout: rollout(good()...).ProgressDeadline(30), podReady: 30 * time.Second, want: []string{"DeadlineTooShort"}},
		"deadline after a pod":   {rollout: rollout(good()...).ProgressDeadline(30), podReady: 29 * time.Second},
		"held by spec.paused":    {rollout: rollout(good()...).Paused(), want: []string{"Paused"}},
		"a weight of 0 is plain": {rollout: rollout(builder.Weight(0), builder.Hold())},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range Release(tc.rollout.Obj(), Options{PodReady: tc.podReady}).Warnings {
				if w.Step > 0 {
					got = append(got, fmt.Sprintf("%s %d", w.ID, w.Step-1))
				} else {
					got = append(got, w.ID)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("warnings differ (-want +got):\n%s", diff)
			}
		})
	}
}
