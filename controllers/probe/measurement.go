// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// sample is the number of requests in a sample; one is sent per interval.
	sample   = 100
	interval = 20 * time.Millisecond
	// A sample that does not match is repeated with exponential backoff.
	backoffBase, backoffMaximum = time.Second, 30 * time.Second
	// deviations is the z-score of a 99 % confidence interval. A correct gateway fails one sample in 100, which costs
	// one more sample.
	deviations = 2.576
)

// measurement takes samples until one matches the target.
type measurement struct {
	*Prober

	request Request
	cancel  context.CancelFunc
	// transport sends the requests. Tests may set their own.
	transport http.RoundTripper

	mu      sync.Mutex
	fits    bool
	pending string
}

// run measures until a sample matches. It calls notify after the first sample and after the last.
func (m *measurement) run(ctx context.Context, notify func()) {
	client, err := m.client()
	if err != nil {
		m.found("the probe sends no requests: " + err.Error())
		notify()
		return
	}
	pause := wait.Backoff{Duration: backoffBase, Factor: 2, Jitter: 0.1, Cap: backoffMaximum, Steps: math.MaxInt32}
	for isFirst := true; ; isFirst = false {
		counted := m.sample(ctx, client)
		if ctx.Err() != nil {
			return
		}
		pending := counted.compare(m.request)
		m.found(pending)
		if isFirst || pending == "" {
			notify()
		}
		if pending == "" {
			return
		}
		select {
		case <-clock.RealClock{}.After(pause.Step()):
		case <-ctx.Done():
			return
		}
	}
}

func (m *measurement) found(pending string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fits, m.pending = pending == "", pending
}

func (m *measurement) result() plan.Probe {
	m.mu.Lock()
	defer m.mu.Unlock()
	return plan.Probe{ProbeRequest: m.request.ProbeRequest, Fits: m.fits, Pending: m.pending}
}

// count is the result of a sample. The answers themselves are never kept: a server could use them to fill the memory
// and the status.
type count struct {
	stable, canary, other, failed int
	// why is the error of one failed request.
	why error
}

// add counts an answer. While both Services select the same revision, it counts as the canary.
func (c *count) add(want Request, revision string, err error) {
	switch {
	case err != nil:
		c.failed, c.why = c.failed+1, cmp.Or(c.why, err)
	case revision == want.Canary:
		c.canary++
	case revision == want.Stable:
		c.stable++
	default:
		c.other++
	}
}

// sample waits for a free slot and takes a sample. It stops early when ctx is done, but never returns before its last
// request has ended.
func (m *measurement) sample(ctx context.Context, client *http.Client) count {
	var counted count
	if m.samples.Acquire(ctx, 1) != nil {
		return counted // the measurement was canceled
	}
	defer m.samples.Release(1)
	var counting sync.Mutex
	var requests sync.WaitGroup
	tick := clock.RealClock{}.NewTicker(interval)
	defer tick.Stop()
	for i := 0; i < sample && ctx.Err() == nil; i++ {
		select {
		case <-tick.C():
		case <-ctx.Done():
			continue
		}
		if m.requests.Wait(ctx) != nil || m.inFlight.Acquire(ctx, 1) != nil {
			continue
		}
		requests.Go(func() {
			defer m.inFlight.Release(1)
			revision, err := measureOnce(ctx, client, m.request.Probe)
			counting.Lock()
			defer counting.Unlock()
			counted.add(m.request, revision, err)
		})
	}
	requests.Wait()
	return counted
}

// compare returns how a sample differs from the target; empty if it matches.
func (c count) compare(want Request) string {
	answered := c.stable + c.canary + c.other
	switch {
	case c.other > 0:
		return fmt.Sprintf("%d of %d requests of the probe were answered by neither revision", c.other, answered+c.failed)
	case c.failed > 0:
		return fmt.Sprintf("%d of %d requests of the probe failed: %s", c.failed, answered+c.failed, reason(c.why))
	case want.Stable == want.Canary:
		return ""
	}
	share := float64(want.Weight) / 100
	expected, slack := share*float64(answered), deviations*math.Sqrt(float64(answered)*share*(1-share))
	if math.Abs(float64(c.canary)-expected) > slack {
		return fmt.Sprintf("%d of %d requests of the probe reached the canary, which is not %d %%", c.canary, answered, want.Weight)
	}
	return ""
}
