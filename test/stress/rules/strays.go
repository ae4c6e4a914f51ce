// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// testers is the stream of requests that header routes send to the canary.
const testers = "qa"

// Strays returns the answers from revisions that the rules forbid.
func (e Evidence) Strays() []string {
	byPair := func(s sources, result load.Result) bool { return s.admit(result.Revision, result.Stream) }
	byStable := func(s sources, result load.Result) bool {
		s.weights = []weight{{}}
		return s.admit(result.Revision, result.Stream)
	}
	byMirror := func(s sources, result load.Result) bool { return s.admitCopy(result.Revision) }
	return slices.Concat(e.straysOf(e.Traffic, byPair), e.straysOf(e.StableOnly, byStable), e.straysOf(e.Copies, byMirror))
}

func (e Evidence) straysOf(results []load.Result, admit func(sources, load.Result) bool) (strays []string) {
	weights := cursor[weight]{coming: timeline(e.Moments, e.Lag, weightOf)}
	stable := cursor[string]{coming: timeline(e.Moments, e.Lag, stableOf)}
	canary := cursor[string]{coming: timeline(e.Moments, e.Lag, canaryOf)}
	foreign := cursor[string]{coming: e.foreignTimeline()}
	for _, result := range results {
		span := Span{result.Start, result.Start.Add(result.Duration)}
		s := sources{weights.during(span), stable.during(span), canary.during(span), foreign.during(span)}
		if result.Revision != "" && !admit(s, result) {
			strays = append(strays, fmt.Sprintf("%s stream %q: pod %s answered; %s",
				result.Start.Format("15:04:05.000"), result.Stream, result.Pod, s))
		}
	}
	return strays
}

// sources are all settings that may determine where a request goes while it is in flight.
type sources struct {
	weights                 []weight
	stable, canary, foreign []string
}

// admit reports whether a revision may answer a request of a stream.
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

// admitCopy reports whether a revision may get a copy of a request.
func (s sources) admitCopy(revision string) bool {
	return slices.Contains(s.foreign, Services) || slices.Contains(s.canary, revision) && s.anyWeight(weight.toCopies)
}

func (s sources) anyWeight(is func(weight) bool) bool { return slices.ContainsFunc(s.weights, is) }

func (w weight) toStable() bool  { return w.share < 100 }
func (w weight) toCanary() bool  { return w.share > 0 }
func (w weight) toTesters() bool { return w.headers }
func (w weight) toCopies() bool  { return w.copies }

func (s sources) String() string {
	return fmt.Sprintf("weight, header routes and mirror %v, stable Service %v, canary Service %v, foreign %v",
		s.weights, s.stable, s.canary, s.foreign)
}

// foreignTimeline adds the time that the gateway needs to apply a revert.
func (e Evidence) foreignTimeline() (all []possible[string]) {
	for _, foreign := range e.Foreign {
		all = append(all, possible[string]{foreign.Resource, foreign.From, foreign.To.Add(e.Lag)})
	}
	slices.SortFunc(all, func(x, y possible[string]) int { return x.from.Compare(y.from) })
	return all
}
