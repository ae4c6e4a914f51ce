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
		"an error of a bad version":   {BadVersion("b"), load.Result{Status: 500, Revision: "b", Pod: "reviews-b-1"}, true},
		"an error of the good one":    {BadVersion("b"), load.Result{Status: 500, Revision: "a", Pod: "reviews-a-1"}, false},
		"an error of any version":     {BadVersion(""), load.Result{Status: 500, Revision: "a", Pod: "reviews-a-1"}, true},
		"an error of no version":      {BadVersion(""), load.Result{Status: 500}, false},
		"lost on the way to it":       {BadVersion("b"), load.Result{Status: 502, Pod: "reviews-b-1"}, false},
		"an error of the gateway":     {BadVersion("b"), load.Result{Status: 500}, false},
		"unknown pod":                 {KilledPod("reviews-b-1", killed), at(0, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.excuse.covers(tc.failure); got != tc.want {
				t.Errorf("excused: %t", got)
			}
		})
	}
}
