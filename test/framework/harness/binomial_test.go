// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBinomialInterval compares intervals with those of a statistics package, by the quantiles 0.5 % and 99.5 %.
func TestBinomialInterval(t *testing.T) {
	for _, tc := range []struct {
		n         int
		p         float64
		low, high int
	}{
		{0, 0.2, 0, 0},
		{1, 0.5, 0, 1},
		{10, 0.5, 1, 9},
		{100, 0.2, 10, 31},
		{250, 0.5, 105, 145},
		{300, 0.01, 0, 8},
		{5000, 0.8, 3927, 4072},
		{100, 0, 0, 0},
		{100, 1, 100, 100},
	} {
		low, high := BinomialInterval(tc.n, tc.p)
		if low != tc.low || high != tc.high {
			t.Errorf("%d of %.2f: %d to %d, want %d to %d", tc.n, tc.p, low, high, tc.low, tc.high)
		}
	}
}

// TestBinomialIntervalHolds: samples drawn with that share lie outside the interval in about one of a hundred cases
// at most, and samples drawn with another share mostly do.
func TestBinomialIntervalHolds(t *testing.T) {
	const n, runs = 300, 2000
	random := rand.New(rand.NewPCG(1, 1))
	out := func(p, drawn float64) float64 {
		low, high := BinomialInterval(n, p)
		count := 0
		for range runs {
			got := 0
			for range n {
				if random.Float64() < drawn {
					got++
				}
			}
			if got < low || got > high {
				count++
			}
		}
		return float64(count) / runs
	}
	for _, p := range []float64{0.05, 0.2, 0.5, 0.8} {
		if share := out(p, p); share > 0.015 {
			t.Errorf("share %.2f: %.3f of the runs are out of the interval", p, share)
		}
		if share := out(p, math.Min(1, p+0.15)); share < 0.9 {
			t.Errorf("share %.2f: %.3f of the runs with 15 %% more are found out", p, share)
		}
	}
}
