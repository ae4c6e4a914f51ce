// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

const (
	// enough is how long a share is measured at least.
	enough = 1600 * time.Millisecond
	// margin is how much later than its effect the news of the end of something may come in.
	margin = 200 * time.Millisecond
)

// Share is what the canary got while a weight stood proven and nobody was in the way.
type Share struct {
	Span
	// Weight is the one that was proven, and Revision that of the canary Service.
	Weight   int32
	Revision string
	// Sent are the answers to requests without a header, and Got those of the canary; Low and High are the ends of the
	// 99 % interval.
	Sent, Got, Low, High int
	// Testers are the answers to testers, and Astray those that did not come from the canary, if header routes were in
	// force.
	Testers, Astray int
}

// Fits says that the share is that of the weight, and that every tester reached the canary.
func (s Share) Fits() bool { return s.Got >= s.Low && s.Got <= s.High && s.Astray == 0 }

func (s Share) String() string {
	return fmt.Sprintf("%s for %4.1fs: weight %d, %d of %d answers from %s (99 %%: %d to %d), %d of %d testers astray",
		s.From.Format("15:04:05.000"), s.length().Seconds(), s.Weight, s.Got, s.Sent, s.Revision, s.Low, s.High, s.Astray, s.Testers)
}

// standing is what has to stay as it is for a share to be measured.
type standing struct {
	weight
	stable, canary string
	// measurable says that all of it is proven, and that two revisions can be told apart.
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

// Shares measures the share of the canary whenever a weight stood proven for long enough.
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

// measure counts answers; it has nothing to say about a span that is too short.
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
				share.Astray++
			}
		case result.Stream != testers:
			share.Sent++
			if isCanary {
				share.Got++
			}
		}
	}
	share.Low, share.High = app.BinomialInterval(share.Sent, float64(share.Weight)/100)
	return []Share{share}
}

// holes are the spans in which something else than the weight decides, by their times.
func (e Evidence) holes() []Span {
	holes := slices.Clone(e.Killed)
	for _, foreign := range e.Foreign {
		holes = append(holes, Span{foreign.From.Add(-margin), foreign.To.Add(e.Lag)})
	}
	slices.SortFunc(holes, func(x, y Span) int { return x.From.Compare(y.From) })
	return holes
}

// without is what holes leave of a span.
func without(span Span, holes []Span) (pieces []Span) {
	for _, hole := range holes {
		if hole.From.After(span.From) && hole.From.Before(span.To) {
			pieces = append(pieces, Span{span.From, hole.From})
		}
		if hole.To.After(span.From) && hole.From.Before(span.To) {
			span.From = hole.To
		}
	}
	return append(pieces, span) // one that ends before it begins is too short for anything
}

// started are the results that began in a span.
func started(results []load.Result, span Span) []load.Result {
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(results, t, func(r load.Result, t time.Time) int { return r.Start.Compare(t) })
		return i
	}
	return results[at(span.From):at(span.To)]
}
