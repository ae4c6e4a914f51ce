// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"math"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// point is the share of the traffic of the revision in flight from a time on, in percent. It lasts until the next point.
type point struct {
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
	Desired  int32     `json:"desired"`
	Verified int32     `json:"verified"`
}

// sample is the share that the canary got of the requests that a comparison has counted in an interval.
type sample struct {
	// At is the end of the interval.
	At     time.Time `json:"at"`
	Metric string    `json:"metric"`
	// Percent is from 0 to 100, in tenths.
	Percent float64 `json:"percent"`
	// Requests is how many were counted on both sides.
	Requests float64 `json:"requests"`
}

// curve is the course of the weights of a rollout. A status has no past, so it begins when the dashboard was started, or with
// the release if the status tells when that began.
type curve struct {
	points  []point
	samples []sample
	// counting is the metric whose counts are compared, and counted is what it had counted at the last look.
	counting string
	counted  analysis.Counts
}

// maxPoints is how many points and samples a curve keeps: those of some releases, at two points per change of a weight.
const maxPoints = 400

// add adds where a rollout is now, if that differs from the last look.
func (c *curve) add(rollout *v1alpha1.CanaryRollout, now time.Time) {
	if rollout.Status.Traffic == nil || rollout.Status.Memory == nil {
		return
	}
	isFirst := len(c.points) == 0
	c.addPoint(rollout, now)
	c.addSample(rollout.Status.Memory, isFirst)
}

func (c *curve) addPoint(rollout *v1alpha1.CanaryRollout, now time.Time) {
	traffic, memory := rollout.Status.Traffic, rollout.Status.Memory
	next := point{At: now.UTC(), Revision: memory.CurrentRevision, Desired: traffic.DesiredWeight, Verified: traffic.VerifiedWeight}
	if next.Revision == memory.StableRevision {
		next.Desired, next.Verified = 0, 0 // no release is in flight
	}
	if len(c.points) == 0 {
		c.points = before(rollout, next)
	}
	if n := len(c.points); n > 0 {
		if last := c.points[n-1]; last.Revision == next.Revision && last.Desired == next.Desired && last.Verified == next.Verified {
			return
		}
	}
	c.points = lastOf(append(c.points, next))
}

// before returns what the status says of the time before the first look: the release began with nothing, and the current weight
// is verified since a known time.
func before(rollout *v1alpha1.CanaryRollout, first point) []point {
	memory, history := rollout.Status.Memory, rollout.Status.History
	if first.Revision == memory.StableRevision || len(history) == 0 || history[0].Revision != first.Revision || history[0].StartedAt == nil {
		return nil
	}
	points := []point{{At: history[0].StartedAt.UTC(), Revision: first.Revision}}
	if at := memory.Traffic.VerifiedAt; at != nil && at.After(history[0].StartedAt.Time) && at.Time.Before(first.At) {
		verified := first
		verified.At = at.UTC()
		points = append(points, verified)
	}
	return points
}

// addSample adds what the first comparison of a release has counted since the last look. What it had counted before the first look
// is not added: that may be of several weights.
func (c *curve) addSample(memory *v1alpha1.Memory, isFirst bool) {
	metric, counts := counted(memory)
	if metric == nil {
		return
	}
	if id := memory.CurrentRevision + "/" + metric.Name + "/" + metric.Definition; id != c.counting {
		c.counting, c.counted = id, analysis.Counts{}
		if isFirst {
			c.counted = counts
		}
	}
	canary, stable := counts.CanaryTotal-c.counted.CanaryTotal, counts.StableTotal-c.counted.StableTotal
	c.counted = counts
	if canary < 0 || stable < 0 || canary+stable == 0 {
		return
	}
	c.samples = lastOf(append(c.samples, sample{
		At: metric.CountedUntil.UTC(), Metric: metric.Name, Percent: math.Round(1000*canary/(canary+stable)) / 10, Requests: math.Round(canary + stable),
	}))
}

// counted returns the first comparison of a release, and what it has counted; nil if there is none.
func counted(memory *v1alpha1.Memory) (*v1alpha1.MetricMemory, analysis.Counts) {
	of := memory.Analysis
	for _, metric := range slices.Concat(of.Background, of.Step, of.Bake) {
		evidence, err := analysis.DecodeEvidence(metric.Evidence)
		if err == nil && metric.Evidence != "" && metric.CountedUntil != nil {
			return &metric, evidence.Counts
		}
	}
	return nil, analysis.Counts{}
}

func lastOf[T any](all []T) []T { return slices.Delete(all, 0, max(len(all)-maxPoints, 0)) }
