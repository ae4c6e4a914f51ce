// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// early is how much later than its effect a status may arrive on a busy machine. The status is written before the
// effect.
const early = time.Second

// possible is a value that may be in force during an interval.
type possible[T comparable] struct {
	value    T
	from, to time.Time
}

// timeline lists the values that memory had, in order of their start. One ends when another is verified.
func timeline[T comparable](moments []harness.Moment, lag time.Duration, of func(*v1alpha1.Memory) (value T, verified bool)) []possible[T] {
	var all []possible[T]
	var open []int
	for _, moment := range moments {
		if moment.Status.Memory == nil {
			continue
		}
		value, verified := of(moment.Status.Memory)
		if verified {
			open = slices.DeleteFunc(open, func(i int) bool {
				isOver := all[i].value != value
				if isOver {
					all[i].to = moment.At.Add(lag)
				}
				return isOver
			})
		}
		if !slices.ContainsFunc(open, func(i int) bool { return all[i].value == value }) {
			open = append(open, len(all))
			all = append(all, possible[T]{value, moment.At.Add(-early), forever})
		}
	}
	return all
}

// cursor reads a timeline once, in order of time.
type cursor[T comparable] struct{ coming, active []possible[T] }

// during returns the values that may be in force at some time of a span. Spans must be passed in order of their
// start.
func (c *cursor[T]) during(span Span) (values []T) {
	for len(c.coming) > 0 && !c.coming[0].from.After(span.To) {
		c.active, c.coming = append(c.active, c.coming[0]), c.coming[1:]
	}
	c.active = slices.DeleteFunc(c.active, func(p possible[T]) bool { return p.to.Before(span.From) })
	for _, p := range c.active {
		if !p.from.After(span.To) && !slices.Contains(values, p.value) {
			values = append(values, p.value)
		}
	}
	return values
}

// weight is what the routes should carry.
type weight struct {
	share   int32
	headers bool
	// copies reports whether a mirror is in force.
	copies bool
}

func weightOf(m *v1alpha1.Memory) (weight, bool) {
	return weight{m.Traffic.Weight, m.Traffic.HeaderRoutesActive, m.Traffic.MirrorPercent > 0}, m.Traffic.VerifiedAt != nil
}

func stableOf(m *v1alpha1.Memory) (string, bool) {
	return m.StableService.Revision, m.StableService.ReadyAt != nil
}

func canaryOf(m *v1alpha1.Memory) (string, bool) {
	return m.CanaryService.Revision, m.CanaryService.ReadyAt != nil
}
