// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"errors"
	"math"
)

// NewBakeTest returns the comparison of a revision with itself: after its promotion there is no stable revision to compare it
// with. before are the counts of the release until then, and the evidence starts with none. Of the counts that are added, only
// those of the canary are used.
//
// The revision fails when its bad rate is above the tolerated rate, and above the tolerated ratio of the rate that it can have
// had before. The chance of a false alarm is spent half on the bound of the earlier rate and half on the test. If the revision had
// so few requests that nothing is known of its earlier rate, the test never decides.
func NewBakeTest(c Comparison, before Counts) (*Test, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if !before.isUsable() {
		return nil, errors.New("the counts before the promotion are no counts of requests")
	}
	before = before.clamped()
	t := &Test{comparison: c, before: &before, weight: c.weight()}
	t.tolerate(math.Max(c.Rate, c.Ratio*before.highestRate(c.FalseAlarm/2, t.weight)), c.FalseAlarm/2)
	return t, nil
}

// highestRate returns the highest bad rate that the canary can have had: a higher one would be wrong with at most that chance,
// whenever the counts were read. It is the rate that the test of a lower rate just rejects. A bound for a fixed number of
// requests would not hold here, since a release is promoted when its counts look good.
func (c Counts) highestRate(chance, weight float64) float64 {
	hypothesis := against(1, 0.01)
	rejects := func(rate float64) bool {
		hypothesis.value = rate
		return hypothesis.rateEvidence(c, weight) >= -math.Log(chance)
	}
	if !rejects(1) {
		return 1
	}
	low, high := c.CanaryBad/c.CanaryTotal, 1.0
	for range 50 {
		if middle := (low + high) / 2; rejects(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
