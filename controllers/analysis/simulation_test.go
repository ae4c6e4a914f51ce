// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"math/rand/v2"
)

const (
	interval  = 5.0 // seconds between two looks
	intervals = 120 // ten minutes
)

// traffic is what reaches a service: requests a second, and the rate of bad ones that any version would have.
type traffic func(second float64, random *rand.Rand) (load, bad float64)

func steady(load, bad float64) traffic {
	return func(float64, *rand.Rand) (float64, float64) { return load, bad }
}

// daily lets load and bad rate vary as over a day, which is as long as the release here.
func daily(load, bad float64) traffic {
	return func(second float64, _ *rand.Rand) (float64, float64) {
		wave := math.Sin(2 * math.Pi * second / (interval * intervals))
		return load * (1 + 0.8*wave), bad * (1 + 0.9*math.Cos(2*math.Pi*second/(interval*intervals)))
	}
}

// bursty lets every tenth interval have a burst: five times the load, and twenty times the bad rate, for both versions.
func bursty(load, bad float64) traffic {
	return func(_ float64, random *rand.Rand) (float64, float64) {
		if random.Float64() < 0.1 {
			return 5 * load, math.Min(20*bad, 1)
		}
		return load, bad
	}
}

// outage lets both versions have a worse rate for 20 seconds.
func outage(load, bad, worse float64) traffic {
	return func(second float64, _ *rand.Rand) (float64, float64) {
		if second >= 200 && second < 220 {
			return load, worse
		}
		return load, bad
	}
}

// clustered lets bad requests come in clusters, such as a client that tries again and again. Each request is routed on its own.
func clustered(load, bad, size float64) traffic {
	return func(_ float64, random *rand.Rand) (float64, float64) {
		return load, math.Min(size*poisson(random, load*interval*bad/size)/(load*interval), 1)
	}
}

// weightAt raises the weight of the canary over a release: 5, 10, 20, 50 %.
func weightAt(i int) float64 { return []float64{0.05, 0.1, 0.2, 0.5}[i*4/intervals] }

// release simulates the counts of a release, interval by interval, until look returns false. canary returns the bad rate of
// the canary for that of stable.
func release(random *rand.Rand, of traffic, weight func(i int) float64, canary func(bad float64) float64, look func(second float64, counts Counts) bool) {
	for i := range intervals {
		load, bad := of(float64(i)*interval, random)
		counts := Counts{
			CanaryTotal: poisson(random, load*interval*weight(i)),
			StableTotal: poisson(random, load*interval*(1-weight(i))),
		}
		counts.CanaryBad = binomial(random, counts.CanaryTotal, math.Min(canary(bad), 1))
		counts.StableBad = binomial(random, counts.StableTotal, bad)
		if !look(float64(i+1)*interval, counts) {
			return
		}
	}
}

// poisson draws how many requests arrive. That of many arrivals is rounded from the normal distribution, which is fast and close
// enough: the test does not depend on how requests arrive.
func poisson(random *rand.Rand, mean float64) float64 {
	if mean > 30 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64()))
	}
	count := -1.0
	for left := mean; left >= 0; count++ {
		left -= random.ExpFloat64()
	}
	return count
}

// binomial draws how many of n events happen with a probability. It jumps from one to the next, which is fast for rare ones.
func binomial(random *rand.Rand, n, probability float64) float64 {
	switch {
	case probability <= 0:
		return 0
	case probability >= 1:
		return n
	case probability > 0.5:
		return n - binomial(random, n, 1-probability)
	}
	count, scale := 0.0, -1/math.Log1p(-probability)
	for at := 0.0; ; count++ {
		at += 1 + math.Floor(random.ExpFloat64()*scale)
		if at > n {
			return count
		}
	}
}

// chanceOfMore is the chance of at least that many events in n tries, by the binomial distribution.
func chanceOfMore(count, n int, probability float64) float64 {
	chance := 0.0
	for k := count; k <= n; k++ {
		log := logChoose(n, k) + float64(k)*math.Log(probability) + float64(n-k)*math.Log1p(-probability)
		chance += math.Exp(log)
	}
	return chance
}

func logChoose(n, k int) float64 {
	whole, _ := math.Lgamma(float64(n + 1))
	part, _ := math.Lgamma(float64(k + 1))
	rest, _ := math.Lgamma(float64(n - k + 1))
	return whole - part - rest
}
