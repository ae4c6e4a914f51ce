// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// enough is the minimum time over which a share is measured.
	enough = 1600 * time.Millisecond
	// margin is how long before a status change the measured window ends, because the status can arrive after the
	// effect.
	margin = 200 * time.Millisecond
)

// Share is what the canary got while a weight was verified and nothing else interfered.
type Share struct {
	Span
	// Weight is the verified one, and Revision the revision of the canary Service.
	Weight   int32
	Revision string
	// Sent is the number of answers to requests without a header, and Got of those from the canary; Low and High are
	// the bounds of the 99 % interval.
	Sent, Got, Low, High int
	// Testers is the number of answers to testers, and Misrouted the number of those not from the canary, if header routes were in
	// force.
	Testers, Misrouted int
}

// Fits reports whether the share matches the weight, and every tester reached the canary.
func (s Share) Fits() bool { return s.Got >= s.Low && s.Got <= s.High && s.Misrouted == 0 }

func (s Share) String() string {
	return fmt.Sprintf("%s for %4.1fs: weight %d, %d of %d answers from %s (99 %%: %d to %d), %d of %d testers misrouted",
		s.From.Format("15:04:05.000"), s.length().Seconds(), s.Weight, s.Got, s.Sent, s.Revision, s.Low, s.High, s.Misrouted, s.Testers)
}

// standing is what must stay constant for a share to be measured.
type standing struct {
	weight
	stable, canary string
	// measurable reports whether all of it is verified, and the two revisions differ.
	measurable bool
}

func standingOf(s v1alpha1.CanaryRolloutStatus) standing {
	if s.Memory == nil {
		return standing{}
	}
	weight, isVerified := weightOf(s.Memory)
	stable, isStableReady := stableOf(s.Memory)
	canary, isCanaryReady := canaryOf(s.Memory)
	return standing{weight, stable, canary, isVerified && isStableReady && isCanaryReady && stable != canary}
}

// Shares measures the canary's share whenever a weight was verified for long enough.
func (e Evidence) Shares() (shares []Share) {
	holes := e.holes()
	for i := 0; i < len(e.Moments); {
		now := standingOf(e.Moments[i].Status)
		j := i + 1
		for j < len(e.Moments) && standingOf(e.Moments[j].Status) == now {
			j++
		}
		end := e.Until
		if j < len(e.Moments) {
			end = e.Moments[j].At.Add(-margin)
		}
		if now.measurable {
			for _, span := range without(Span{e.Moments[i].At.Add(e.Lag), end}, holes) {
				shares = append(shares, e.measure(now, span)...)
			}
		}
		i = j
	}
	return shares
}

// measure counts answers. It returns nothing for a span that is too short.
func (e Evidence) measure(now standing, span Span) []Share {
	if span.length() < enough {
		return nil
	}
	share := Share{Span: span, Weight: now.share, Revision: now.canary}
	for _, result := range started(e.Traffic, span) {
		isCanary := result.Revision == now.canary
		switch {
		case result.Err != nil:
		case result.Stream == testers && now.headers:
			share.Testers++
			if !isCanary {
				share.Misrouted++
			}
		case result.Stream != testers:
			share.Sent++
			if isCanary {
				share.Got++
			}
		}
	}
	share.Low, share.High = harness.BinomialInterval(share.Sent, float64(share.Weight)/100)
	return []Share{share}
}

// holes returns the spans in which something other than the weight decides, in order of time.
func (e Evidence) holes() []Span {
	holes := slices.Clone(e.Killed)
	for _, foreign := range e.Foreign {
		holes = append(holes, Span{foreign.From.Add(-margin), foreign.To.Add(e.Lag)})
	}
	slices.SortFunc(holes, func(x, y Span) int { return x.From.Compare(y.From) })
	return holes
}

// without returns the parts of a span outside the holes.
func without(span Span, holes []Span) (pieces []Span) {
	for _, hole := range holes {
		if hole.From.After(span.From) && hole.From.Before(span.To) {
			pieces = append(pieces, Span{span.From, hole.From})
		}
		if hole.To.After(span.From) && hole.From.Before(span.To) {
			span.From = hole.To
		}
	}
	return append(pieces, span) // a span that ends before it starts is filtered out as too short
}

// started returns the results that started in a span.
func started(results []load.Result, span Span) []load.Result {
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(results, t, func(r load.Result, t time.Time) int { return r.Start.Compare(t) })
		return i
	}
	return results[at(span.From):at(span.To)]
}
