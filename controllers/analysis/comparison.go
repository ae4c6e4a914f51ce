// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
)

// Verdict is what the counts of a comparison say so far.
type Verdict string

// The verdicts. Failed and Passed are final; with Open, more requests may decide.
const (
	Open   Verdict = "Open"
	Failed Verdict = "Failed"
	Passed Verdict = "Passed"
)

// Comparison says which canary is good: one whose bad rate is at most the tolerated ratio of the stable one, or at most the
// tolerated rate.
type Comparison struct {
	// Ratio is the tolerated ratio of the bad rate of the canary to that of stable, at least 1. 1.25 tolerates a quarter more.
	Ratio float64
	// Rate is the bad rate of the canary that is tolerated whatever stable does, from 0 to less than 1. With 0 only the ratio
	// counts.
	Rate float64
	// FalseAlarm is the chance that a good canary ever fails, between 0 and 1.
	FalseAlarm float64
}

// Test is a comparison that can be made.
type Test struct {
	comparison                                     Comparison
	worseRatio, worseRate, betterRatio, betterRate hypothesis
	// bound is the evidence that a failure takes.
	bound float64
}

// NewTest returns an error for a comparison that cannot be made.
func NewTest(c Comparison) (*Test, error) {
	switch {
	case !(c.Ratio >= 1) || math.IsInf(c.Ratio, 1):
		return nil, fmt.Errorf("the tolerated ratio is %g: it must be 1 or more", c.Ratio)
	case !(c.Rate >= 0 && c.Rate < 1):
		return nil, fmt.Errorf("the tolerated rate is %g: it must be at least 0 and less than 1", c.Rate)
	case !(c.FalseAlarm > 0 && c.FalseAlarm < 1):
		return nil, fmt.Errorf("the false alarm is %g: it must be between 0 and 1", c.FalseAlarm)
	}
	return &Test{
		comparison: c,
		worseRatio: against(c.Ratio, math.Max(100, 10*c.Ratio)), betterRatio: against(c.passRatio(), c.passRatio()/100),
		worseRate: against(c.Rate, math.Min(100*c.Rate, 1-(1-c.Rate)/100)), betterRate: against(c.Rate, c.Rate/100),
		bound: -math.Log(c.FalseAlarm),
	}, nil
}

// passRatio is the ratio that a canary must be below for certain to pass early by the comparison with stable. It is twice
// the tolerated one: to prove less would take far more requests than a release has.
func (c Comparison) passRatio() float64 { return 2 * c.Ratio }

// Counts are the requests of one interval. They may be fractions, as a rate over a window extrapolates.
type Counts struct {
	CanaryBad, CanaryTotal, StableBad, StableTotal float64
}

// maxCount is more requests than an interval can have. Larger numbers would not fit the logarithms.
const maxCount = 1e12

// isUsable reports whether counts are numbers that can be requests. A source that fails returns others.
func (c Counts) isUsable() bool {
	for _, count := range []float64{c.CanaryBad, c.CanaryTotal, c.StableBad, c.StableTotal} {
		if math.IsNaN(count) || count < 0 || count > maxCount {
			return false
		}
	}
	return true
}

// clamped has no more bad requests than requests. A source extrapolates the two apart from each other.
func (c Counts) clamped() Counts {
	c.CanaryBad, c.StableBad = math.Min(c.CanaryBad, c.CanaryTotal), math.Min(c.StableBad, c.StableTotal)
	return c
}

// Evidence is what a comparison has seen. The zero value has seen nothing.
type Evidence struct {
	// Counts are the sums of all intervals.
	Counts Counts
	// worseRatio and worseRate grow while the canary is worse than tolerated, betterRatio and betterRate while it is better.
	worseRatio, worseRate, betterRatio, betterRate mixture
}

// Add adds the counts of one interval, and reports whether they could be used: no negative number, no NaN, none above
// 1e12.
func (t *Test) Add(e *Evidence, counts Counts) bool {
	if !counts.isUsable() {
		return false
	}
	counts = counts.clamped()
	e.Counts.CanaryBad += counts.CanaryBad
	e.Counts.CanaryTotal += counts.CanaryTotal
	e.Counts.StableBad += counts.StableBad
	e.Counts.StableTotal += counts.StableTotal

	t.worseRatio.growRatio(&e.worseRatio, counts)
	t.betterRatio.growRatio(&e.betterRatio, counts)
	if t.comparison.Rate > 0 {
		t.worseRate.growRate(&e.worseRate, counts)
		t.betterRate.growRate(&e.betterRate, counts)
	}
	return true
}

// growRatio compares how the bad requests are divided with how a ratio would divide them. An interval in which one side served
// nothing says nothing about a ratio.
func (h *hypothesis) growRatio(m *mixture, counts Counts) {
	if counts.CanaryTotal == 0 || counts.StableTotal == 0 {
		return
	}
	m.grow(func(k int) float64 {
		ratio := h.alternatives[k]
		share := math.Log((ratio*counts.CanaryTotal + counts.StableTotal) / (h.value*counts.CanaryTotal + counts.StableTotal))
		return counts.CanaryBad*(math.Log(ratio/h.value)-share) - counts.StableBad*share
	})
}

// growRate compares the bad rate of the canary with a rate.
func (h *hypothesis) growRate(m *mixture, counts Counts) {
	good := counts.CanaryTotal - counts.CanaryBad
	m.grow(func(k int) float64 {
		rate := h.alternatives[k]
		return counts.CanaryBad*math.Log(rate/h.value) + good*math.Log((1-rate)/(1-h.value))
	})
}

// Verdict returns what the evidence says.
func (t *Test) Verdict(e *Evidence) Verdict {
	switch failure, pass := t.Progress(e); {
	case failure >= 1:
		return Failed
	case pass >= 1:
		return Passed
	default:
		return Open
	}
}

// Progress returns how far the evidence has come towards a failure and towards a pass, from 0 to 1 at the bound.
func (t *Test) Progress(e *Evidence) (failure, pass float64) {
	worse := e.worseRatio.highest
	if t.comparison.Rate > 0 {
		worse = math.Min(worse, e.worseRate.highest)
	}
	better := math.Max(e.betterRatio.highest, e.betterRate.highest)
	return math.Min(worse/t.bound, 1), math.Min(better/(t.bound+math.Ln2), 1)
}

// Detectable returns the smallest ratio that the requests so far would have shown as a failure, had the canary had it: what
// an open comparison can rule out. It is infinite if no ratio up to 1,000 would have.
func (t *Test) Detectable(e *Evidence) float64 {
	counts := e.Counts
	if counts.CanaryTotal == 0 || counts.StableTotal == 0 {
		return math.Inf(1)
	}
	stableRate := math.Max(counts.StableBad, 0.5) / counts.StableTotal
	fails := func(ratio float64) bool {
		bad := math.Min(ratio*stableRate, 1) * counts.CanaryTotal
		var seen Evidence
		t.Add(&seen, Counts{CanaryBad: bad, CanaryTotal: counts.CanaryTotal, StableBad: counts.StableBad, StableTotal: counts.StableTotal})
		return t.Verdict(&seen) == Failed
	}
	low, high := t.comparison.Ratio, 1000.0
	if !fails(high) {
		return math.Inf(1)
	}
	for range 40 {
		if middle := math.Sqrt(low * high); fails(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
