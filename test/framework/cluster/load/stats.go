// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"slices"
	"time"
)

// Stats summarizes the requests that were started in a time window and have ended.
type Stats struct {
	From, To   time.Time
	Sent       int
	Failed     int
	Skipped    int            // requests that were due but not sent because too many were unanswered
	Rate       float64        // requests sent per second
	ByVersion  map[string]int // successful requests
	ByRevision map[string]int // successful requests

	durations []time.Duration // sorted; successful requests
}

// Share returns the part of the successful requests, 0 to 1, that a version answered, or 0 if there were none.
func (s Stats) Share(version string) float64 { return share(s.ByVersion, version) }

// RevisionShare returns the part of the successful requests, 0 to 1, that a revision answered.
func (s Stats) RevisionShare(revision string) float64 { return share(s.ByRevision, revision) }

func share(counts map[string]int, key string) float64 {
	all := 0
	for _, n := range counts {
		all += n
	}
	if all == 0 {
		return 0
	}
	return float64(counts[key]) / float64(all)
}

// Latency returns the p-quantile (0.5, 0.99, 1) of the duration of successful requests.
func (s Stats) Latency(p float64) time.Duration {
	if len(s.durations) == 0 {
		return 0
	}
	return s.durations[min(len(s.durations)-1, int(p*float64(len(s.durations))))]
}

// String formats the stats for a test's log.
func (s Stats) String() string {
	return fmt.Sprintf("%d sent (%.1f/s), %d failed, %d skipped, versions %v, p50 %s p99 %s max %s", s.Sent, s.Rate,
		s.Failed, s.Skipped, s.ByVersion, round(s.Latency(0.5)), round(s.Latency(0.99)), round(s.Latency(1)))
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// Window returns the stats of the requests started in [from, to), of all streams or only of the named ones.
func (g *Generator) Window(from, to time.Time, streams ...string) Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Stats{From: later(from, g.began), To: to, ByVersion: map[string]int{}, ByRevision: map[string]int{}}
	if !g.ended.IsZero() && g.ended.Before(s.To) {
		s.To = g.ended
	}
	within := func(t time.Time) bool { return !t.Before(from) && t.Before(to) }
	for _, result := range g.results {
		if within(result.Start) && (len(streams) == 0 || slices.Contains(streams, result.Stream)) {
			s.add(result)
		}
	}
	for _, at := range g.skipped {
		if within(at) {
			s.Skipped++
		}
	}
	slices.Sort(s.durations)
	if length := s.To.Sub(s.From).Seconds(); length > 0 {
		s.Rate = float64(s.Sent) / length
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *Stats) add(result Result) {
	s.Sent++
	if result.Err != nil {
		s.Failed++
		return
	}
	s.ByVersion[result.Version]++
	s.ByRevision[result.Revision]++
	s.durations = append(s.durations, result.Duration)
}

// Since returns the stats from t until now.
func (g *Generator) Since(t time.Time) Stats { return g.Window(t, time.Now()) }

// Last returns the stats of the last d, for a live display.
func (g *Generator) Last(d time.Duration) Stats { return g.Since(time.Now().Add(-d)) }

// Total returns the stats of all requests that have ended.
func (g *Generator) Total() Stats { return g.Window(time.Time{}, time.Now()) }

// Failures returns all failed requests so far, sorted by start time, each with the pod it was sent to if that is
// known.
func (g *Generator) Failures() []Result {
	failures := g.Results(func(r Result) bool { return r.Err != nil })
	g.blame(failures)
	return failures
}

// Results returns the ended requests that match, sorted by start time.
func (g *Generator) Results(match func(Result) bool) []Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	var matching []Result
	for _, result := range g.results {
		if match(result) {
			matching = append(matching, result)
		}
	}
	slices.SortFunc(matching, func(a, b Result) int { return a.Start.Compare(b.Start) })
	return matching
}

// LastAnswer returns when the last answer of a revision arrived, or the zero time if there was none.
func (g *Generator) LastAnswer(revision string) (last time.Time) {
	for _, result := range g.Results(func(r Result) bool { return r.Revision == revision }) {
		if answered := result.Start.Add(result.Duration); answered.After(last) {
			last = answered
		}
	}
	return last
}
