// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import "time"

// A delayed change is one that the data path has not applied yet.
type delayed struct {
	seen  time.Time
	apply func()
}

// A queue applies changes in order, each after a delay. The delay may change at any time, and then holds for all
// waiting changes: a gateway that recovers catches up at once.
type queue struct{ waiting []delayed }

func (q *queue) push(seen time.Time, apply func()) {
	q.waiting = append(q.waiting, delayed{seen, apply})
}

// run applies what is due. It returns whether there was any, and when the next change is due; zero if none waits.
func (q *queue) run(now time.Time, lag time.Duration) (changed bool, next time.Time) {
	for len(q.waiting) > 0 {
		if due := q.waiting[0].seen.Add(lag); now.Before(due) {
			return changed, due
		}
		q.waiting[0].apply()
		q.waiting = q.waiting[1:]
		changed = true
	}
	return changed, time.Time{}
}

// sooner returns the earlier of two times. A zero time means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
