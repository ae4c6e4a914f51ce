// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "time"

// A delayed change is one that the data path has not followed yet.
type delayed struct {
	seen  time.Time
	apply func()
}

// A queue follows changes in their order, each after a delay. The delay may change at any time, and then holds for all that
// wait: a gateway that recovers catches up at once.
type queue struct{ waiting []delayed }

func (q *queue) push(seen time.Time, apply func()) {
	q.waiting = append(q.waiting, delayed{seen, apply})
}

// run follows what is due, and says whether there was any, and when the next one will be; zero when none waits.
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

// sooner is the earlier of two times, of which a zero one means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
