// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/golden"
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
// states. That is also so for a version that is as bad as is tolerated, for either tolerance.
func TestFalseAlarms(t *testing.T) {
	releases := 10_000
	if testing.Short() {
		releases = 1_000
	}
	onlyRatio := mustTest(Comparison{Ratio: 1.25, FalseAlarm: 0.01})
	for name, tc := range map[string]struct {
		of     traffic
		test   *Test
		canary func(float64) float64
	}{
		"equal, steady":      {steady(50, 0.01), usual, equal},
		"equal, daily":       {daily(50, 0.01), usual, equal},
		"equal, bursty":      {bursty(20, 0.01), usual, equal},
		"equal, only ratio":  {bursty(20, 0.01), onlyRatio, equal},
		"equal, all is bad":  {steady(5, 0.5), onlyRatio, equal},
		"tolerated ratio":    {daily(50, 0.02), onlyRatio, func(bad float64) float64 { return 1.25 * bad }},
		"tolerated rate":     {steady(50, 0.00001), usual, func(float64) float64 { return 0.005 }},
		"very few requests":  {steady(0.2, 0.01), usual, equal},
		"stable never fails": {steady(50, 0), usual, func(float64) float64 { return 0.005 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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

// TestDetection states how long it takes to fail a worse version, and what the usual threshold does on the same data.
func TestDetection(t *testing.T) {
	var text strings.Builder
	fmt.Fprintln(&text, "At weight 10, looked at every 5 s for 10 minutes. Median time to a failure, and how many of 400 releases failed.")
	fmt.Fprintf(&text, "%10s %8s %9s | %9s %7s | %9s %7s\n", "requests/s", "stable", "canary", "test", "failed", "threshold", "failed")
	for _, load := range []float64{1, 10, 100} {
		for _, bad := range []float64{0.001, 0.01} {
			for _, times := range []float64{1, 2, 5, 20} {
				test, threshold := detect(load, bad, times)
				fmt.Fprintf(&text, "%10g %7.1f%% %8.1f%% | %9s %6.1f%% | %9s %6.1f%%\n", load, 100*bad, 100*bad*times,
					median(test), shareOf(test), median(threshold), shareOf(threshold))
			}
		}
	}
	golden.Check(t, "testdata/detection.golden", text.String())
}

const detections = 400

// detect returns when each release failed, by the test and by the threshold.
func detect(load, bad, times float64) (test, threshold []float64) {
	for seed := range detections {
		var seen Evidence
		var usually recipe
		isFailed, isMissed := false, false
		release(rand.New(rand.NewPCG(uint64(seed), 3)), steady(load, bad), func(int) float64 { return 0.1 }, func(bad float64) float64 { return times * bad }, func(second float64, counts Counts) bool {
			usual.Add(&seen, counts)
			if !isFailed && usual.Verdict(&seen) == Failed {
				isFailed, test = true, append(test, second)
			}
			if !isMissed && usually.look(second, counts) {
				isMissed, threshold = true, append(threshold, second)
			}
			return true
		})
	}
	return test, threshold
}

func median(times []float64) string {
	if len(times) < detections/2 {
		return "-"
	}
	slices.Sort(times)
	return fmt.Sprintf("%.0f s", times[detections/2-1])
}

func shareOf(times []float64) float64 { return 100 * float64(len(times)) / detections }

// TestPassesEarly: an equal version passes before the time is over.
func TestPassesEarly(t *testing.T) {
	var seconds []float64
	for seed := range detections {
		var seen Evidence
		release(rand.New(rand.NewPCG(uint64(seed), 7)), steady(100, 0.001), func(int) float64 { return 0.1 }, equal, func(second float64, counts Counts) bool {
			usual.Add(&seen, counts)
			if usual.Verdict(&seen) == Passed {
				seconds = append(seconds, second)
			}
			return usual.Verdict(&seen) == Open
		})
	}
	slices.Sort(seconds)
	if len(seconds) < detections*9/10 || seconds[len(seconds)/2] > 360 {
		t.Errorf("%d of %d passed, in the median after %g s", len(seconds), detections, seconds[len(seconds)/2])
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
