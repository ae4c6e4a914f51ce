// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// Detectable returns the smallest bad rate of the canary that would have failed in about nine of ten releases, with the requests
// so far: what an open comparison can rule out. It is not ok if even a canary whose requests are all bad would not have.
func (t *Test) Detectable(e *Evidence) (rate float64, ok bool) {
	total := e.Counts.CanaryTotal
	fails := func(rate float64) bool {
		// As few bad requests as one release of ten has.
		bad := math.Max(0, rate*total-1.28*math.Sqrt(rate*(1-rate)*total/t.weight))
		var seen Evidence
		t.Add(&seen, Counts{CanaryBad: bad, CanaryTotal: total, StableBad: e.Counts.StableBad, StableTotal: e.Counts.StableTotal})
		return t.shown(&seen) == Failed
	}
	if total == 0 || !fails(1) {
		return 0, false
	}
	low, high := 1/total, 1.0
	for range 20 {
		if middle := math.Sqrt(low * high); fails(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high, true
}
