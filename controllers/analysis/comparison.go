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
	// ClusterSize is how many bad requests of one version can have one cause, such as a request that is retried, at least 1; 0
	// means 1. The more, the more bad requests a failure takes.
	ClusterSize float64
	// ByPod says that the two sides are counted by different sources, such as the pods of each, which are read at different
	// moments. What happens to both then shows at one of them first. A verdict takes two intervals in a row.
	ByPod bool
}

// Test is a comparison that can be made. It is never changed.
type Test struct {
	comparison                                     Comparison
	worseRatio, worseRate, betterRatio, betterRate hypothesis
	// usesRatio and usesRate say which of the hypotheses count.
	usesRatio, usesRate bool
	weight              float64
	// bound is the evidence for a failure at the stated chance of a false alarm, and passBound that for a pass.
	bound, passBound float64
	// before is set for a bake.
	before *Counts
}

// NewTest returns an error for a comparison that cannot be made.
func NewTest(c Comparison) (*Test, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	t := &Test{comparison: c, usesRatio: true, weight: c.weight()}
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
	case !(c.ClusterSize == 0 || c.ClusterSize >= 1 && c.ClusterSize <= maxCount):
		return fmt.Errorf("the cluster size is %g: it must be 1 or more", c.ClusterSize)
	}
	return nil
}

// weight is what one request counts as evidence: the share of a cluster that it may be.
func (c Comparison) weight() float64 { return 1 / math.Max(c.ClusterSize, 1) }

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
	// recent are the sums since the last new start, and starts is how many there were.
	recent Counts
	starts float64
	// worseRatio grows while the canary is worse than the tolerated ratio, since the last new start; betterRatio grows while it
	// is better than twice that, since the beginning.
	worseRatio, betterRatio mixture
	// former is what was shown before the last interval in which both sides served requests.
	former Verdict
}

// depth is how far the evidence for a failure may fall below that of no requests before it starts again. Without new starts, a
// canary that turns bad would have to outweigh all the time in which it was good. With ByPod there are none: after an outage of
// both sides, what is counted late at one of them has to be set against what was counted early at the other.
const depth = 3

// Add adds the counts of one interval, and reports whether they could be used: no negative number, no NaN, none above
// 1e12.
func (t *Test) Add(e *Evidence, counts Counts) bool {
	if !counts.isUsable() {
		return false
	}
	counts = counts.clamped()
	// An interval in which one side served nothing says nothing about a ratio.
	if t.usesRatio && counts.CanaryTotal > 0 && counts.StableTotal > 0 {
		if t.comparison.ByPod {
			e.former = t.shown(e)
		}
		e.worseRatio.growRatio(&t.worseRatio, counts, t.weight)
		e.betterRatio.growRatio(&t.betterRatio, counts, t.weight)
	}
	e.Counts.add(counts)
	e.recent.add(counts)
	if !t.comparison.ByPod && t.worse(e) < -depth {
		e.recent, e.worseRatio = Counts{}, mixture{}
		e.starts++
	}
	return true
}

func (c *Counts) add(more Counts) {
	c.CanaryBad += more.CanaryBad
	c.CanaryTotal += more.CanaryTotal
	c.StableBad += more.StableBad
	c.StableTotal += more.StableTotal
}

// Verdict returns what the evidence says.
func (t *Test) Verdict(e *Evidence) Verdict {
	verdict := t.shown(e)
	if t.comparison.ByPod && t.usesRatio && verdict != e.former {
		return Open
	}
	return verdict
}

// shown returns what the evidence says at this moment.
func (t *Test) shown(e *Evidence) Verdict {
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
	return math.Max(0, math.Min(t.worse(e)/t.failureBound(e), 1)), math.Min(t.better(e)/t.passBound, 1)
}

// worse is the evidence that the canary exceeds all tolerances.
func (t *Test) worse(e *Evidence) float64 {
	switch {
	case t.usesRatio && t.usesRate:
		return math.Min(e.worseRatio.evidence(), t.worseRate.rateEvidence(e.recent, t.weight))
	case t.usesRatio:
		return e.worseRatio.evidence()
	case t.usesRate:
		return t.worseRate.rateEvidence(e.recent, t.weight)
	default:
		return 0
	}
}

// better is the evidence that the canary is good by one of the tolerances.
func (t *Test) better(e *Evidence) float64 {
	better := 0.0
	if t.usesRatio {
		better = math.Max(better, e.betterRatio.evidence())
	}
	if t.usesRate {
		better = math.Max(better, t.betterRate.rateEvidence(e.Counts, t.weight))
	}
	return better
}

// failureBound is the evidence that a failure takes. Each new start is another chance to be wrong, so the false alarm is divided
// among all that there can be: four fifths for the first one, and what is left for the others, less and less.
func (t *Test) failureBound(e *Evidence) float64 {
	if e.starts == 0 {
		return t.bound - math.Log(0.8)
	}
	return t.bound - math.Log(0.2/(e.starts*(e.starts+1)))
}
