// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

const (
	scrapeInterval = 10  // seconds between two scrapes of a pod
	lasts          = 600 // seconds that a release lasts
)

// scraped are counters of a source, second by second, and when it is scraped.
type scraped struct {
	isCanary   bool
	share      float64 // of the requests of its side
	phase      int
	total, bad [lasts + 1]float64
}

// at returns the counters at the last scrape by a time.
func (s *scraped) at(second int) (total, bad float64) {
	scrapedAt := max(0, second-(second-s.phase+scrapeInterval)%scrapeInterval)
	return s.total[scrapedAt], s.bad[scrapedAt]
}

// serve lets the sources serve the requests of a release at weight 10.
func serve(random *rand.Rand, sources []*scraped, load float64, badAt func(second int) float64) {
	for second := 1; second <= lasts; second++ {
		for _, s := range sources {
			weight := 0.9
			if s.isCanary {
				weight = 0.1
			}
			requests := poisson(random, load*weight*s.share)
			s.total[second] = s.total[second-1] + requests
			s.bad[second] = s.bad[second-1] + binomial(random, requests, badAt(second))
		}
	}
}

// failsScraped looks at the sources after every interval, and reports whether a look says that the release failed.
func failsScraped(test *Test, sources []*scraped, every int) bool {
	var seen Evidence
	for second := scrapeInterval + every; second <= lasts; second += every {
		var counts Counts
		for _, s := range sources {
			total, bad := s.at(second)
			formerTotal, formerBad := s.at(second - every)
			if s.isCanary {
				counts.CanaryTotal += total - formerTotal
				counts.CanaryBad += bad - formerBad
			} else {
				counts.StableTotal += total - formerTotal
				counts.StableBad += bad - formerBad
			}
		}
		test.Add(&seen, counts)
		if test.Verdict(&seen) == Failed {
			return true
		}
	}
	return false
}

// ofGateways are two replicas of a gateway, each of which counts for both sides and is scraped when it likes.
func ofGateways(random *rand.Rand) []*scraped {
	first, second := random.IntN(scrapeInterval), random.IntN(scrapeInterval)
	return []*scraped{
		{share: 0.7, phase: first}, {isCanary: true, share: 0.7, phase: first},
		{share: 0.3, phase: second}, {isCanary: true, share: 0.3, phase: second},
	}
}

// ofPods are the pods of both sides, each of which counts for itself and is scraped when it likes.
func ofPods(random *rand.Rand) []*scraped {
	pods := []*scraped{{isCanary: true, share: 1, phase: random.IntN(scrapeInterval)}}
	for range 6 {
		pods = append(pods, &scraped{share: 1. / 6, phase: random.IntN(scrapeInterval)})
	}
	return pods
}

// TestScrapes: releases of equal versions are not aborted more often than stated, although counters are known only as of the
// last scrape. Counters of pods are scraped at different moments: an outage of both versions shows at one of them first. Without
// ByPod more than 10 % of the releases with an outage fail.
func TestScrapes(t *testing.T) {
	releases := 1_500
	if testing.Short() {
		releases = 200
	}
	noise := func(int) func(int) float64 { return func(int) float64 { return 0.01 } }
	outage := func(starts int) func(int) float64 {
		return func(second int) float64 {
			if second >= starts && second < starts+10 {
				return 1
			}
			return 0.001
		}
	}
	for name, tc := range map[string]struct {
		test    *Test
		sources func(*rand.Rand) []*scraped
		badAt   func(starts int) func(int) float64
		every   int
	}{
		"gateways":                              {usual, ofGateways, noise, 10},
		"gateways, outage":                      {usual, ofGateways, outage, 10},
		"gateways, outage, shorter than scrape": {usual, ofGateways, outage, 3},
		"pods":                                  {byPod, ofPods, noise, 10},
		"pods, outage":                          {byPod, ofPods, outage, 10},
		"pods, outage, longer than scrape":      {byPod, ofPods, outage, 25},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := 0
			for seed := range releases {
				random := rand.New(rand.NewPCG(uint64(seed), 10))
				sources := tc.sources(random)
				serve(random, sources, 100, tc.badAt(60+random.IntN(lasts-120)))
				if failsScraped(tc.test, sources, tc.every) {
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

// TestByPod: the confirmation costs one interval and no more, and an interval without requests of one side confirms nothing.
func TestByPod(t *testing.T) {
	var seen Evidence
	bad := Counts{CanaryBad: 20, CanaryTotal: 100, StableBad: 1, StableTotal: 900}
	for i, step := range []struct {
		counts Counts
		want   Verdict
	}{
		{bad, Open}, {Counts{StableTotal: 900}, Open}, {Counts{CanaryTotal: 100}, Open}, {bad, Failed},
		{Counts{CanaryTotal: 100, StableTotal: 900}, Failed}, {Counts{CanaryTotal: 100, StableTotal: 9000, StableBad: 2000}, Open},
	} {
		byPod.Add(&seen, step.counts)
		decoded, err := DecodeEvidence(seen.Encode())
		if got := byPod.Verdict(&decoded); got != step.want || err != nil {
			t.Errorf("%s after interval %d, want %s: %v", got, i, step.want, err)
		}
		if math.IsNaN(seen.worseRatio.evidence()) {
			t.Errorf("no evidence after interval %d", i)
		}
	}
}
