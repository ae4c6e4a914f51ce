// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBakeFalseAlarms: of 10,000 bakes of a revision that is as bad as before, no more fail than the comparison states, also
// when the release was promoted at the very moment at which its counts looked best.
func TestBakeFalseAlarms(t *testing.T) {
	bakes := 10_000
	if testing.Short() {
		bakes = 1_000
	}
	strict := mustTest(Comparison{Ratio: 1, FalseAlarm: 0.01}).comparison
	for name, tc := range map[string]struct {
		of         comparisonOfBake
		isSelected bool
	}{
		"usual":                       {comparisonOfBake{usual.comparison, 50, 0.01}, false},
		"only ratio":                  {comparisonOfBake{strict, 50, 0.01}, false},
		"few requests":                {comparisonOfBake{strict, 0.5, 0.01}, false},
		"nothing bad before":          {comparisonOfBake{strict, 5, 0.0005}, false},
		"all is bad":                  {comparisonOfBake{strict, 5, 0.6}, false},
		"promoted when it looks best": {comparisonOfBake{strict, 20, 0.02}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := 0
			for seed := range bakes {
				if tc.of.fails(rand.New(rand.NewPCG(uint64(seed), 5)), tc.isSelected, 1) {
					failed++
				}
			}
			if chance := chanceOfMore(failed, bakes, tc.of.FalseAlarm); failed > 0 && chance < 0.001 {
				t.Errorf("%d of %d bakes failed: the chance of that many is %.2g", failed, bakes, chance)
			}
			t.Logf("%d of %d", failed, bakes)
		})
	}
}

// comparisonOfBake is a bake of a service with a load and a bad rate.
type comparisonOfBake struct {
	Comparison
	load, bad float64
}

// fails simulates the steps, a promotion and a bake in which the rate is that many times as bad, and reports whether the bake
// fails at any look.
func (b comparisonOfBake) fails(random *rand.Rand, isSelected bool, times float64) bool {
	var sum, before Counts
	lowest := math.Inf(1)
	release(random, steady(b.load, b.bad), weightAt, equal, func(second float64, counts Counts) bool {
		sum.add(counts)
		if !isSelected {
			before = sum
		} else if math.Mod(second, 60) == 0 {
			// The moment at which the bound of the rate is lowest: no release is promoted at a worse one for the bake.
			if highest := sum.highestRate(b.FalseAlarm/2, 1); highest < lowest {
				lowest, before = highest, sum
			}
		}
		return true
	})
	test, err := NewBakeTest(b.Comparison, before)
	if err != nil {
		panic(err)
	}
	return fails(random, test, steady(b.load, b.bad), func(bad float64) float64 { return times * bad })
}

// TestBakeDetects: a revision that gets worse after its promotion fails.
func TestBakeDetects(t *testing.T) {
	failed := 0
	for seed := range 200 {
		if (comparisonOfBake{usual.comparison, 50, 0.004}).fails(rand.New(rand.NewPCG(uint64(seed), 6)), false, 5) {
			failed++
		}
	}
	if failed < 180 {
		t.Errorf("%d of 200 failed", failed)
	}
}

// TestBakeOfUnknown: without requests before the promotion, nothing is known that the bake could be worse than.
func TestBakeOfUnknown(t *testing.T) {
	for _, before := range []Counts{{}, {CanaryBad: 1, CanaryTotal: 1}, {StableBad: 10, StableTotal: 1000}} {
		test, err := NewBakeTest(usual.comparison, before)
		if err != nil {
			t.Fatal(err)
		}
		var seen Evidence
		test.Add(&seen, Counts{CanaryBad: 900, CanaryTotal: 1000})
		if got := test.Verdict(&seen); got != Open {
			t.Errorf("%s after %+v", got, before)
		}
	}
	if _, err := NewBakeTest(usual.comparison, Counts{CanaryBad: -1}); err == nil {
		t.Error("negative counts are used")
	}
	if _, err := NewBakeTest(Comparison{}, Counts{}); err == nil {
		t.Error("no comparison is used")
	}
}

func BenchmarkNewBakeTest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = NewBakeTest(usual.comparison, Counts{CanaryBad: 3, CanaryTotal: 1000})
	}
}
