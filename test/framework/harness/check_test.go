// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// TestExcuse: an excuse covers only the removed pods, and only for as long as it takes to learn of the removal.
func TestExcuse(t *testing.T) {
	killed := time.Unix(1000, 0)
	at := func(offset time.Duration, pod string) load.Result {
		return load.Result{Start: killed.Add(offset), Pod: pod}
	}
	for name, tc := range map[string]struct {
		excuse  Excuse
		failure load.Result
		want    bool
	}{
		"a pod of the revision":       {Killed("b", killed), at(0, "reviews-b-1"), true},
		"no pod was left":             {Killed("b", killed), at(0, ""), true},
		"a pod of another revision":   {Killed("b", killed), at(0, "reviews-a-1"), false},
		"too late":                    {Killed("b", killed), at(1100*time.Millisecond, "reviews-b-1"), false},
		"too early":                   {Killed("b", killed), at(-1100*time.Millisecond, "reviews-b-1"), false},
		"that very pod":               {KilledPod("reviews-b-1", killed), at(0, "reviews-b-1"), true},
		"that very pod, too late":     {KilledPod("reviews-b-1", killed), at(1100*time.Millisecond, "reviews-b-1"), false},
		"another pod of the revision": {KilledPod("reviews-b-1", killed), at(0, "reviews-b-2"), false},
		"unknown pod":                 {KilledPod("reviews-b-1", killed), at(0, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.excuse.covers(tc.failure); got != tc.want {
				t.Errorf("excused: %t", got)
			}
		})
	}
}
