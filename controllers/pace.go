// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// reportInterval is the shortest time between two writes of a status, if nobody waits for the second one.
	reportInterval = time.Second
	// reactionTime is how long a pass after an action waits for others to react to that. Their watch events start it earlier. A
	// gateway that never reports anything has none.
	reactionTime = time.Second
)

// pace limits the writes of statuses for which nobody waits. It is safe for concurrent use; the zero value is ready to use.
type pace struct {
	mu sync.Mutex
	// written is when the status of a rollout was last written by this process.
	written map[types.NamespacedName]time.Time
}

// due returns when a status for which nobody waits may be written: now, or later. A clock that was put back delays nothing.
func (p *pace) due(rollout types.NamespacedName, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.written[rollout].Add(reportInterval)
	if at.Before(now) || at.After(now.Add(reportInterval)) {
		return now
	}
	return at
}

func (p *pace) wrote(rollout types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.written == nil {
		p.written = map[types.NamespacedName]time.Time{}
	}
	p.written[rollout] = now
}

func (p *pace) forget(rollout types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.written, rollout)
}
