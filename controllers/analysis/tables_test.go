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

// The tables here are also in docs/analysis.md, and a test there compares them.

const runs = 400

// TestDetection states how long it takes to fail a worse version, and what the usual threshold does on the same data.
func TestDetection(t *testing.T) {
	var text strings.Builder
	fmt.Fprintln(&text, "| Requests/s | Stable | Canary | Comparison: aborted | after | Threshold: aborted | after |")
	fmt.Fprintln(&text, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, load := range []float64{1, 10, 100} {
		for _, bad := range []float64{0.001, 0.01} {
			for _, times := range []float64{1, 2, 5, 20} {
				test, threshold := detect(load, bad, times)
				fmt.Fprintf(&text, "| %g | %g %% | %g %% | %s | %s |\n", load, 100*bad, 100*bad*times, shareAndMedian(test), shareAndMedian(threshold))
			}
		}
	}
	golden.Check(t, "testdata/detection.golden", text.String())
}

// detect returns when each release failed, by the test and by the threshold.
func detect(load, bad, times float64) (test, threshold []float64) {
	for seed := range runs {
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

// shareAndMedian formats which share of the releases failed and the median of when, if at least half of them did.
func shareAndMedian(seconds []float64) string {
	median := "-"
	if len(seconds) >= runs/2 {
		slices.Sort(seconds)
		median = fmt.Sprintf("%.0f s", seconds[runs/2-1])
	}
	return fmt.Sprintf("%.1f %% | %s", 100*float64(len(seconds))/runs, median)
}

// recipe is the usual way to judge a canary: the share of good requests of a window of 30 s has to be at least 99 %, and a
// second window that misses it aborts.
type recipe struct {
	good, total float64
	misses      int
}

func (r *recipe) look(second float64, counts Counts) (isFailed bool) {
	r.good += counts.CanaryTotal - counts.CanaryBad
	r.total += counts.CanaryTotal
	if math.Mod(second, 30) != 0 {
		return false
	}
	if r.total > 0 && r.good/r.total < 0.99 {
		r.misses++
	}
	r.good, r.total = 0, 0
	return r.misses > 1
}

// TestRequests states how many requests a verdict takes.
func TestRequests(t *testing.T) {
	var text strings.Builder
	fmt.Fprintln(&text, "| Stable | Canary | Good before | Verdict | Requests of the canary |")
	fmt.Fprintln(&text, "| ---: | ---: | ---: | --- | ---: |")
	for _, tc := range []struct{ stable, canary, before float64 }{
		{0, 1, 0}, {0, 0.2, 0}, {0, 0.05, 0}, {0, 0.03, 0}, {0, 0.02, 0}, {0, 0.01, 0}, {0, 0, 0},
		{0.001, 0.2, 0}, {0.001, 0.05, 0}, {0.001, 0.05, 20_000}, {0.001, 0.02, 0}, {0.001, 0.02, 20_000}, {0.001, 0.01, 0}, {0.001, 0.001, 0},
		{0.01, 0.2, 0}, {0.01, 0.05, 0}, {0.01, 0.05, 20_000}, {0.01, 0.03, 0}, {0.01, 0.01, 0},
	} {
		verdicts, requests := map[Verdict]int{}, []float64(nil)
		for seed := range runs / 2 {
			verdict, total := decide(rand.New(rand.NewPCG(uint64(seed), 7)), tc.stable, tc.canary, tc.before)
			verdicts[verdict]++
			requests = append(requests, total)
		}
		slices.Sort(requests)
		want := Failed
		if tc.canary == tc.stable {
			want = Passed
		}
		if wrong := runs/2 - verdicts[want]; wrong > runs/50 {
			t.Errorf("%d of %d are wrong: %v", wrong, runs/2, verdicts)
		}
		fmt.Fprintf(&text, "| %g %% | %g %% | %s | %s | %s |\n", 100*tc.stable, 100*tc.canary, count(tc.before), want, count(requests[len(requests)/2]))
	}
	golden.Check(t, "testdata/requests.golden", text.String())
}

// decide looks at every tenth request of a canary of weight 10, until there is a verdict. The canary may be as good as stable for
// some requests before, in which it passes: in the background it is measured on.
func decide(random *rand.Rand, stable, canary, before float64) (Verdict, float64) {
	var seen Evidence
	for seen.Counts.CanaryTotal < before {
		usual.Add(&seen, Counts{binomial(random, 10, stable), 10, binomial(random, 90, stable), 90})
	}
	want := Open
	if before > 0 {
		want = Passed
	}
	for usual.Verdict(&seen) == want && seen.Counts.CanaryTotal < before+100_000 {
		usual.Add(&seen, Counts{binomial(random, 10, canary), 10, binomial(random, 90, stable), 90})
	}
	return usual.Verdict(&seen), seen.Counts.CanaryTotal - before
}

// TestClusters states what happens when bad requests come in clusters that stay at one version, and that a comparison with
// a cluster size as large as theirs keeps its promise.
func TestClusters(t *testing.T) {
	const releases = 1_000
	sizes := []float64{1, 2, 5, 20}
	var text strings.Builder
	fmt.Fprintln(&text, "| Bad requests of one cause | clusterSize 1 | clusterSize 2 | clusterSize 5 | clusterSize 20 |")
	fmt.Fprintln(&text, "| --- | ---: | ---: | ---: | ---: |")
	row := func(name string, failures func(test *Test) int) {
		fmt.Fprintf(&text, "| %s |", name)
		for _, size := range sizes {
			fmt.Fprintf(&text, " %.1f %% |", 100*float64(failures(clusterTest(size)))/releases)
		}
		fmt.Fprintln(&text)
	}
	for _, size := range sizes {
		row(fmt.Sprintf("%g, equal versions", size), func(test *Test) int {
			failed := clusterFailures(test, releases, size, equal)
			if chance := chanceOfMore(failed, releases, test.comparison.FalseAlarm); size <= test.comparison.ClusterSize && failed > 0 && chance < 0.001 {
				t.Errorf("clusters of %g with %g: %d of %d releases failed: the chance of that many is %.2g", size, test.comparison.ClusterSize, failed, releases, chance)
			}
			return failed
		})
	}
	row("1, canary 5 times as bad", func(test *Test) int {
		return clusterFailures(test, releases, 1, func(bad float64) float64 { return 5 * bad })
	})
	golden.Check(t, "testdata/clusters.golden", text.String())
}

func clusterTest(size float64) *Test {
	comparison := usual.comparison
	comparison.ClusterSize = size
	return mustTest(comparison)
}

// clusterFailures counts the releases that fail, of a service with 50 requests/s of which 1 % are bad.
func clusterFailures(test *Test, releases int, size float64, canary func(float64) float64) int {
	failed := 0
	for seed := range releases {
		random := rand.New(rand.NewPCG(uint64(seed), 8))
		var seen Evidence
		release(random, steady(50, 0.01), weightAt, equal, func(_ float64, counts Counts) bool {
			counts.CanaryBad = size * poisson(random, canary(0.01)*counts.CanaryTotal/size)
			counts.StableBad = size * poisson(random, 0.01*counts.StableTotal/size)
			counts.CanaryTotal, counts.StableTotal = math.Max(counts.CanaryTotal, counts.CanaryBad), math.Max(counts.StableTotal, counts.StableBad)
			test.Add(&seen, counts)
			return counts.CanaryBad == 0 || test.Verdict(&seen) != Failed
		})
		if test.Verdict(&seen) == Failed {
			failed++
		}
	}
	return failed
}
