// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"sync"
	"time"
)

// The back-off after failed requests doubles from a second to ten: a provider that is down gets few requests, however many
// rollouts need it, and one that is back is used again soon.
const minBackOff, maxBackOff = time.Second, 10 * time.Second

// breaker decides whether a provider may be asked. After a failure, it lets one request through when the back-off has passed,
// and the others when that has an answer.
type breaker struct {
	mu sync.Mutex
	// why is the last failure; empty if the last request had an answer.
	why     string
	backOff time.Duration
	until   time.Time
	// isTrying is set while the one request is in flight.
	isTrying bool
}

// enter returns why no request may be sent now; empty if one may. leave or cancel must follow.
func (b *breaker) enter(at time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == "" {
		return ""
	}
	if b.isTrying || at.Before(b.until) {
		return b.why
	}
	b.isTrying = true
	return ""
}

// leave notes how a request ended, and reports whether that changed.
func (b *breaker) leave(why string, at time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	isNews := (b.why == "") != (why == "")
	b.isTrying, b.why = false, why
	switch {
	case why == "":
		b.backOff = 0
	case !at.Before(b.until): // several requests that fail at the same time are one failure
		b.backOff = min(max(minBackOff, 2*b.backOff), maxBackOff)
		b.until = at.Add(b.backOff)
	}
	return isNews
}

// cancel notes that a request was canceled.
func (b *breaker) cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isTrying = false
}
