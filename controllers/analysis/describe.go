// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Describe returns what was seen and what it says, in one sentence without a full stop.
func (t *Test) Describe(e *Evidence) string {
	failure, pass := t.Progress(e)
	switch t.Verdict(e) {
	case Failed:
		return t.seenRecently(e) + "; the chance that a good canary looks like this is at most " + stated(t.comparison.FalseAlarm)
	case Passed:
		return fmt.Sprintf("%s; %s, with a chance of at most %s that this is wrong", t.seen(e), t.proven(e), stated(t.comparison.FalseAlarm))
	default:
		switch shown := t.shown(e); {
		case e.Counts.CanaryTotal == 0:
			return t.seen(e)
		case shown != Open:
			return t.seen(e) + "; the evidence is complete, and the next interval has to confirm it"
		}
		return fmt.Sprintf("%s; no verdict yet: the evidence is at %.0f %% of what a failure takes and at %.0f %% of what a pass takes",
			t.seen(e), math.Floor(100*failure), math.Floor(100*pass))
	}
}

// DescribeInconclusive returns what was seen and which increase could have been seen, for a comparison that ends without a
// verdict.
func (t *Test) DescribeInconclusive(e *Evidence) string {
	rate, ok := t.Detectable(e)
	switch {
	case e.Counts.CanaryTotal == 0:
		return t.seen(e)
	case !ok && t.before != nil && !t.usesRate:
		return t.seen(e) + "; there were too few before it to compare with"
	case !ok:
		return t.seen(e) + "; these are too few requests to see any increase"
	}
	return fmt.Sprintf("%s; with so many requests, %s bad requests%s would have failed in nine of ten releases",
		t.seen(e), percent(rate), t.increase(e, rate))
}

// increase says how many times the rate with which the canary is compared a rate is, if that is known.
func (t *Test) increase(e *Evidence, rate float64) string {
	bad, total, of := e.Counts.StableBad, e.Counts.StableTotal, "that of stable"
	if t.before != nil {
		bad, total, of = t.before.CanaryBad, t.before.CanaryTotal, "that before the promotion"
	}
	if bad == 0 || total == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s times %s)", significant(rate*total/bad), of)
}

// seen says how many requests were bad.
func (t *Test) seen(e *Evidence) string { return t.ofRequests("", e.Counts) }

// seenRecently says how many requests were bad since the evidence for a failure started again.
func (t *Test) seenRecently(e *Evidence) string {
	if e.starts == 0 {
		return t.seen(e)
	}
	return t.ofRequests("the last ", e.recent)
}

func (t *Test) ofRequests(last string, counts Counts) string {
	verb, other, bad, total := "of the canary were bad", last+"%s of stable", counts.StableBad, counts.StableTotal
	if t.before != nil {
		verb, other, bad, total = "since the promotion were bad", "%s before it", t.before.CanaryBad, t.before.CanaryTotal
	}
	if counts.CanaryTotal == 0 {
		return "there were no requests " + strings.TrimSuffix(verb, " were bad")
	}
	canary := fmt.Sprintf("%s of %s%s requests %s (%s)", count(counts.CanaryBad), last, count(counts.CanaryTotal), verb,
		percent(counts.CanaryBad/counts.CanaryTotal))
	if total == 0 {
		return canary + ", and there were " + fmt.Sprintf(other, "none")
	}
	return fmt.Sprintf("%s, and %s of %s (%s)", canary, count(bad), fmt.Sprintf(other, count(total)), percent(bad/total))
}

// proven says why the canary passes.
func (t *Test) proven(e *Evidence) string {
	if t.usesRate && t.betterRate.rateEvidence(e.Counts, t.weight) >= t.passBound {
		return "the canary's share is less than " + stated(t.betterRate.value)
	}
	return fmt.Sprintf("the canary's share is less than %.3g times that of stable", t.betterRatio.value)
}

// count is a number of requests, with a comma for each thousand.
func count(number float64) string {
	digits := strconv.FormatFloat(math.Round(number), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// stated is a share in percent as a user wrote it.
func stated(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

// percent is a measured share in percent with two significant digits.
func percent(share float64) string {
	switch share *= 100; {
	case share == 0:
		return "0 %"
	case share < 0.001:
		return "less than 0.001 %"
	default:
		return significant(share) + " %"
	}
}

// significant is a number with two significant digits, or without a fraction if it is large.
func significant(number float64) string {
	if number >= 10 {
		return strconv.FormatFloat(number, 'f', 0, 64)
	}
	return strconv.FormatFloat(number, 'f', 1-int(math.Floor(math.Log10(number))), 64)
}
