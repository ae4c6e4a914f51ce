// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// usual is a comparison as a user writes it: a quarter more than stable is tolerated, half a percent of bad requests is
// tolerated in any case, and one good release of a hundred may be aborted.
var usual = mustTest(Comparison{Ratio: 1.25, Rate: 0.005, FalseAlarm: 0.01})

func mustTest(c Comparison) *Test {
	test, err := NewTest(c)
	if err != nil {
		panic(err)
	}
	return test
}

func equal(bad float64) float64 { return bad }

// TestFalseAlarms: of 10,000 releases of a good version, looked at after every interval, no more fail than the comparison
// states. That is also so for a version that is as bad as is tolerated, for either tolerance, and for one that is tolerated
// because it is seldom bad until an outage of both versions.
func TestFalseAlarms(t *testing.T) {
	onlyRatio := mustTest(Comparison{Ratio: 1.25, FalseAlarm: 0.01})
	for name, tc := range map[string]struct {
		of     traffic
		test   *Test
		canary func(float64) float64
	}{
		"equal, steady":      {steady(50, 0.01), usual, equal},
		"equal, daily":       {daily(50, 0.01), usual, equal},
		"equal, bursty":      {bursty(20, 0.01), usual, equal},
		"tolerated, outage":  {outage(300, 0.0001, 0.1), usual, func(bad float64) float64 { return math.Max(bad, 0.003) }},
		"equal, clusters":    {clustered(50, 0.01, 20), usual, equal},
		"equal, only ratio":  {bursty(20, 0.01), onlyRatio, equal},
		"equal, all is bad":  {steady(5, 0.5), onlyRatio, equal},
		"tolerated ratio":    {daily(50, 0.02), onlyRatio, func(bad float64) float64 { return 1.25 * bad }},
		"tolerated rate":     {steady(50, 0.00001), usual, func(float64) float64 { return 0.005 }},
		"very few requests":  {steady(0.2, 0.01), usual, equal},
		"stable never fails": {steady(50, 0), usual, func(float64) float64 { return 0.005 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			releases := 3_000
			switch {
			case testing.Short():
				releases = 500
			case strings.HasPrefix(name, "equal"):
				releases = 10_000
			}
			failed := 0
			for seed := range releases {
				if fails(rand.New(rand.NewPCG(uint64(seed), 1)), tc.test, tc.of, tc.canary) {
					failed++
				}
			}
			if chance := chanceOfMore(failed, releases, tc.test.comparison.FalseAlarm); failed > 0 && chance < 0.001 {
				t.Errorf("%d of %d releases failed: the chance of that many is %.2g", failed, releases, chance)
			}
			t.Logf("%d of %d", failed, releases)
		})
	}
}

// TestNewStarts: all tests of a release together have the stated false alarm.
func TestNewStarts(t *testing.T) {
	sum := 0.0
	for starts := range 100_000 {
		sum += math.Exp(-usual.failureBound(&Evidence{starts: float64(starts)}))
	}
	if sum > usual.comparison.FalseAlarm || sum < 0.99*usual.comparison.FalseAlarm {
		t.Errorf("%g", sum)
	}
}

// fails simulates a release that is looked at after every interval, and reports whether a look says that it failed.
func fails(random *rand.Rand, test *Test, of traffic, canary func(float64) float64) bool {
	var seen Evidence
	isFailed := false
	release(random, of, weightAt, canary, func(_ float64, counts Counts) bool {
		test.Add(&seen, counts)
		// Only a bad request of the canary is evidence for a failure: after other intervals the look would show less than before.
		isFailed = counts.CanaryBad > 0 && test.Verdict(&seen) == Failed
		return !isFailed
	})
	return isFailed
}

// TestWrongPasses: a version that is twice as bad as is tolerated, by both tolerances, passes early no more often than stated.
func TestWrongPasses(t *testing.T) {
	const releases = 4_000
	passed := 0
	for seed := range releases {
		var seen Evidence
		release(rand.New(rand.NewPCG(uint64(seed), 2)), daily(50, 0.004), weightAt, func(bad float64) float64 { return usual.comparison.passRatio() * bad * 2 }, func(_ float64, counts Counts) bool {
			usual.Add(&seen, counts)
			return usual.Verdict(&seen) == Open
		})
		if usual.Verdict(&seen) == Passed {
			passed++
		}
	}
	if chance := chanceOfMore(passed, releases, usual.comparison.FalseAlarm); passed > 0 && chance < 0.001 {
		t.Errorf("%d of %d releases passed: the chance of that many is %.2g", passed, releases, chance)
	}
}

// TestUnusableCounts: no answer of a source is a verdict by itself, and none spoils the evidence.
func TestUnusableCounts(t *testing.T) {
	var seen Evidence
	for _, counts := range []Counts{
		{CanaryBad: math.NaN()}, {CanaryTotal: math.Inf(1)}, {StableBad: -1}, {StableTotal: math.Inf(-1)},
	} {
		if usual.Add(&seen, counts) {
			t.Errorf("%+v is used", counts)
		}
	}
	for _, counts := range []Counts{
		{}, {CanaryTotal: 10}, {StableTotal: 10, StableBad: 10}, {CanaryBad: 1, StableBad: 3}, {CanaryBad: 2.5, CanaryTotal: 2.4, StableTotal: 7},
	} {
		if !usual.Add(&seen, counts) {
			t.Errorf("%+v is not used", counts)
		}
	}
	if got := usual.Verdict(&seen); got != Open {
		t.Errorf("%s", got)
	}
	for _, number := range seen.numbers() {
		if math.IsNaN(number) || math.IsInf(number, 0) {
			t.Errorf("the evidence has %g", number)
		}
	}
}

func TestNewTest(t *testing.T) {
	for want, c := range map[string]Comparison{
		"ratio":       {Ratio: 0.9, FalseAlarm: 0.01},
		"rate":        {Ratio: 1, Rate: 1, FalseAlarm: 0.01},
		"false alarm": {Ratio: 1},
	} {
		if _, err := NewTest(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error about the %s", c, err, want)
		}
	}
}

// FuzzAdd: whatever a source answers, the evidence stays a number.
func FuzzAdd(f *testing.F) {
	f.Add(3.0, 100.0, 1.0, 900.0, 5.0, 10.0)
	f.Add(math.MaxFloat64, math.MaxFloat64, 0.0, math.SmallestNonzeroFloat64, 1.0, 1.0)
	f.Fuzz(func(t *testing.T, canaryBad, canaryTotal, stableBad, stableTotal, more, moreTotal float64) {
		var seen Evidence
		usual.Add(&seen, Counts{canaryBad, canaryTotal, stableBad, stableTotal})
		usual.Add(&seen, Counts{more, moreTotal, more, moreTotal})
		failure, pass := usual.Progress(&seen)
		if !(failure >= 0 && failure <= 1) || !(pass >= 0 && pass <= 1) {
			t.Errorf("progress %g and %g", failure, pass)
		}
		if rate, ok := usual.Detectable(&seen); ok && !(rate > 0 && rate <= 1) {
			t.Errorf("detectable %g", rate)
		}
	})
}
