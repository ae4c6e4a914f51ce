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

	"k8s.io/utils/clock"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// sample is how many answers a share is measured by, one request each interval.
	sample   = 100
	interval = 20 * time.Millisecond
	// timeout is how long a request may take.
	timeout = 5 * time.Second
	// deviations are as many standard deviations as 99 of 100 samples of a gateway that does as it should are near to
	// its weight. The hundredth costs one more sample.
	deviations = 2.576
)

// caller opens a connection for each request: who balances connections would answer all of them alike. It takes a
// redirection for an answer.
var caller = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
	Timeout:       timeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// measurement takes sample after sample, until one is as it should be.
type measurement struct {
	request Request
	cancel  context.CancelFunc

	mu      sync.Mutex
	fits    bool
	pending string
}

// run tells of the first sample, and of the last.
func (m *measurement) run(ctx context.Context, tell func()) {
	for isFirst := true; ; isFirst = false {
		counted := m.sample(ctx)
		if ctx.Err() != nil {
			return
		}
		pending := counted.compare(m.request)
		m.mu.Lock()
		m.fits, m.pending = pending == "", pending
		m.mu.Unlock()
		if isFirst || pending == "" {
			tell()
		}
		if pending == "" {
			return
		}
	}
}

func (m *measurement) result() plan.Probe {
	m.mu.Lock()
	defer m.mu.Unlock()
	return plan.Probe{ProbeRequest: m.request.ProbeRequest, Fits: m.fits, Pending: m.pending}
}

// count is what came of a sample.
type count struct {
	byRevision map[string]int
	failed     int
	// why is the reason of one failure.
	why error
}

// sample ends early with ctx, and never before its last request.
func (m *measurement) sample(ctx context.Context) count {
	counted := count{byRevision: map[string]int{}}
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
		requests.Go(func() {
			revision, err := m.ask(ctx)
			counting.Lock()
			defer counting.Unlock()
			if err != nil {
				counted.failed, counted.why = counted.failed+1, cmp.Or(counted.why, err)
				return
			}
			counted.byRevision[revision]++
		})
	}
	requests.Wait()
	return counted
}

// ask says which revision answers.
func (m *measurement) ask(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.request.URL, nil)
	if err != nil {
		return "", err
	}
	request.Host = cmp.Or(m.request.Host, request.URL.Host)
	request.Header.Set("User-Agent", "canaryrollout-probe")
	response, err := caller.Do(request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	revision := response.Header.Get(m.request.RevisionHeader)
	if revision == "" {
		return "", fmt.Errorf("the answer, %s, has no header %s", response.Status, m.request.RevisionHeader)
	}
	return revision, nil
}

// compare says what is not as the target has it; nothing when all is.
func (c count) compare(want Request) string {
	answered := 0
	for revision, n := range c.byRevision {
		if answered += n; revision != want.Stable && revision != want.Canary {
			return fmt.Sprintf("%d of %d requests of the probe were answered by %q, which is neither revision", n, sample, revision)
		}
	}
	if c.failed > 0 {
		return fmt.Sprintf("%d of %d requests of the probe failed: %v", c.failed, answered+c.failed, c.why)
	}
	if want.Stable == want.Canary {
		return ""
	}
	share := float64(want.Weight) / 100
	expected, slack := share*float64(answered), deviations*math.Sqrt(float64(answered)*share*(1-share))
	if got := c.byRevision[want.Canary]; math.Abs(float64(got)-expected) > slack {
		return fmt.Sprintf("%d of %d requests of the probe reached the canary, which is not %d %%", got, answered, want.Weight)
	}
	return ""
}
