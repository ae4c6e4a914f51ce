// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

// testers is the stream of requests that header routes lead to the canary.
const testers = "qa"

// Strays are the answers that came from a revision that the rules forbid.
func (e Evidence) Strays() []string {
	return append(e.straysOf(e.Traffic, false), e.straysOf(e.StableOnly, true)...)
}

func (e Evidence) straysOf(results []load.Result, stableOnly bool) (strays []string) {
	weights := cursor[weight]{coming: timeline(e.Moments, e.Lag, weightOf)}
	stable := cursor[string]{coming: timeline(e.Moments, e.Lag, stableOf)}
	canary := cursor[string]{coming: timeline(e.Moments, e.Lag, canaryOf)}
	foreign := cursor[string]{coming: e.foreignTimeline()}
	for _, result := range results {
		span := Span{result.Start, result.Start.Add(result.Duration)}
		s := sources{weights.during(span), stable.during(span), canary.during(span), foreign.during(span)}
		if stableOnly {
			s.weights = []weight{{}}
		}
		if result.Revision != "" && !s.admit(result.Revision, result.Stream) {
			strays = append(strays, fmt.Sprintf("%s stream %q: pod %s answered; %s",
				result.Start.Format("15:04:05.000"), result.Stream, result.Pod, s))
		}
	}
	return strays
}

// sources are all that may lead a request, while it is under way.
type sources struct {
	weights                 []weight
	stable, canary, foreign []string
}

// admit says whether a revision may answer a request of a stream.
func (s sources) admit(revision, stream string) bool {
	switch {
	case slices.Contains(s.foreign, Services): // they select every revision
		return true
	case slices.Contains(s.stable, revision) && (s.anyWeight(weight.toStable) || slices.Contains(s.foreign, Routes)):
		return true
	case slices.Contains(s.canary, revision):
		return s.anyWeight(weight.toCanary) || stream == testers && s.anyWeight(weight.toTesters)
	default:
		return false
	}
}

func (s sources) anyWeight(is func(weight) bool) bool { return slices.ContainsFunc(s.weights, is) }

func (w weight) toStable() bool  { return w.share < 100 }
func (w weight) toCanary() bool  { return w.share > 0 }
func (w weight) toTesters() bool { return w.headers }

func (s sources) String() string {
	return fmt.Sprintf("weight and header routes %v, stable Service %v, canary Service %v, foreign %v",
		s.weights, s.stable, s.canary, s.foreign)
}

// foreignTimeline has the time that the gateway needs to learn that something is put right.
func (e Evidence) foreignTimeline() (all []possible[string]) {
	for _, foreign := range e.Foreign {
		all = append(all, possible[string]{foreign.Resource, foreign.From, foreign.To.Add(e.Lag)})
	}
	slices.SortFunc(all, func(x, y possible[string]) int { return x.from.Compare(y.from) })
	return all
}
