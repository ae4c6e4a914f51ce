// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// point is the share of the traffic of the revision in flight at a time, in percent. It lasts until the next point.
type point struct {
	At       time.Time `json:"at"`
	Revision string    `json:"revision"`
	Desired  int32     `json:"desired"`
	Verified int32     `json:"verified"`
}

// curve is the course of the weights of a rollout. A status has no past, so it begins when the dashboard was started, or with
// the release if the status tells when that began.
type curve struct{ points []point }

// maxPoints is how many points a curve keeps: some releases, at two points per change of a weight.
const maxPoints = 400

// add adds where a rollout is now, if that differs from the last point.
func (c *curve) add(rollout *v1alpha1.CanaryRollout, now time.Time) {
	traffic, memory := rollout.Status.Traffic, rollout.Status.Memory
	if traffic == nil || memory == nil {
		return
	}
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
	c.points = append(c.points, next)
	if len(c.points) > maxPoints {
		c.points = slices.Delete(c.points, 0, len(c.points)-maxPoints)
	}
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

func (c *curve) all() []point { return append([]point{}, c.points...) }
