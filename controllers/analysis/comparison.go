// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
)

// Verdict is what the counts of a comparison say so far.
type Verdict string

// The verdicts. With Open, more requests may decide. The test is valid whenever it is looked at, so the first look that says
// Failed may be acted upon.
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

// Test is a comparison that can be made. It is never changed.
type Test struct {
	comparison                                     Comparison
	worseRatio, worseRate, betterRatio, betterRate hypothesis
	// usesRatio and usesRate say which of the hypotheses count.
	usesRatio, usesRate bool
	// bound is the evidence that a failure takes, and passBound that for a pass.
	bound, passBound float64
	// before is set for a bake.
	before *Counts
}

// NewTest returns an error for a comparison that cannot be made.
func NewTest(c Comparison) (*Test, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	t := &Test{comparison: c, usesRatio: true}
	t.worseRatio = against(c.Ratio, math.Max(100, 10*c.Ratio))
	t.betterRatio = against(c.passRatio(), c.passRatio()/100)
	t.tolerate(c.Rate, c.FalseAlarm)
	return t, nil
}

func (c Comparison) validate() error {
	switch {
	case !(c.Ratio >= 1) || math.IsInf(c.Ratio, 1):
		return fmt.Errorf("the tolerated ratio is %g: it must be 1 or more", c.Ratio)
	case !(c.Rate >= 0 && c.Rate < 1):
		return fmt.Errorf("the tolerated rate is %g: it must be at least 0 and less than 1", c.Rate)
	case !(c.FalseAlarm > 0 && c.FalseAlarm < 1):
		return fmt.Errorf("the false alarm is %g: it must be between 0 and 1", c.FalseAlarm)
	}
	return nil
}

// tolerate sets the rate that the canary may have, and the chance of an error.
func (t *Test) tolerate(rate, falseAlarm float64) {
	t.bound, t.passBound = -math.Log(falseAlarm), -math.Log(falseAlarm/2)
	if t.usesRate = rate > 0 && rate < 1; t.usesRate {
		t.worseRate, t.betterRate = against(rate, math.Min(100*rate, 1)), against(rate, rate/100)
	}
}

// passRatio is the ratio that a canary must be below for certain to pass early by the comparison with stable. It is twice
// the tolerated one: to prove less would take far more requests than a release has.
func (c Comparison) passRatio() float64 { return 2 * c.Ratio }

// Counts are the requests of one interval.
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

// clamped has no more bad requests than requests. A source reads the two counters one after the other.
func (c Counts) clamped() Counts {
	c.CanaryBad, c.StableBad = math.Min(c.CanaryBad, c.CanaryTotal), math.Min(c.StableBad, c.StableTotal)
	return c
}

// Evidence is what a comparison has seen. The zero value has seen nothing.
type Evidence struct {
	// Counts are the sums of all intervals.
	Counts Counts
	// worseRatio grows while the canary is worse than the tolerated ratio, betterRatio while it is better than twice that.
	worseRatio, betterRatio mixture
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
	if t.usesRatio {
		e.worseRatio.growRatio(&t.worseRatio, counts)
		e.betterRatio.growRatio(&t.betterRatio, counts)
	}
	return true
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

// Progress returns how far the evidence has come towards a failure and towards a pass, from 0 to 1 at the bound. Both go up and
// down: a failure takes the evidence of both tolerances at the same moment, so that what the sums show agrees with the verdict.
func (t *Test) Progress(e *Evidence) (failure, pass float64) {
	if !t.usesRatio && !t.usesRate {
		return 0, 0
	}
	worse, better := math.Inf(1), 0.0
	if t.usesRatio {
		worse, better = e.worseRatio.evidence(), math.Max(better, e.betterRatio.evidence())
	}
	if t.usesRate {
		bad, total := e.Counts.CanaryBad, e.Counts.CanaryTotal
		worse = math.Min(worse, t.worseRate.rateEvidence(bad, total))
		better = math.Max(better, t.betterRate.rateEvidence(bad, total))
	}
	return math.Max(0, math.Min(worse/t.bound, 1)), math.Min(better/t.passBound, 1)
}
