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

// enter returns why no request may be sent now; empty if one may. isTrial is set for the one request. leave or cancel must follow.
func (b *breaker) enter(at time.Time) (isTrial bool, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == "" {
		return false, ""
	}
	if b.isTrying || at.Before(b.until) {
		return false, b.why
	}
	b.isTrying = true
	return true, ""
}

// leave notes how a request ended, and reports whether that changed. Requests that were in flight when another one failed may fail
// later. They say nothing new, and do not end the trial.
func (b *breaker) leave(isTrial bool, why string, at time.Time) (isNews bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	isNews = (b.why == "") != (why == "")
	b.isTrying = b.isTrying && !isTrial
	switch {
	case why == "":
		b.why, b.backOff = "", 0
	case isTrial || isNews:
		b.backOff = min(max(minBackOff, 2*b.backOff), maxBackOff)
		b.why, b.until = why, at.Add(b.backOff)
	}
	return isNews
}

// cancel notes that a request was canceled. A trial has shown nothing then, and the next one waits for the same back-off: when many
// measurements are replaced at once, each of them would make another trial.
func (b *breaker) cancel(isTrial bool, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if isTrial {
		b.isTrying, b.until = false, at.Add(b.backOff)
	}
}
