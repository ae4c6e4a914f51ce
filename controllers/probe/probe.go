// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe measures what a gateway really does with a weight: it sends its own requests through the gateway and
// counts which revision answers. A route's status only reports that the gateway has accepted the weight, not that all
// of its proxies act on it (Gateway API GEP-1364); a measured share proves that they do (T4).
package probe

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Request is what to measure, and how to send the requests.
type Request struct {
	plan.ProbeRequest
	v1alpha1.Probe
}

const (
	// maxSamples is how many samples are taken concurrently, and maxRequests how many requests are sent per second,
	// over all rollouts.
	maxSamples  = 10
	maxRequests = 200
	// maxInFlight is how many requests may be in flight at once, over all rollouts. Parsing what a server may send for
	// one request (see maxRead) takes up to 1 MiB of memory, so all of them take about 200 MiB at most.
	maxInFlight = 200
)

// Prober measures for any number of rollouts. It is safe for concurrent use.
type Prober struct {
	allow    Allow
	samples  *semaphore.Weighted
	requests *rate.Limiter
	inFlight *semaphore.Weighted
	// results receives rollouts that have a first or a final result.
	results chan event.GenericEvent

	mu      sync.Mutex
	stopped bool
	running map[types.NamespacedName]*measurement
	group   sync.WaitGroup
}

// NewProber returns a Prober without measurements.
func NewProber(allow Allow) *Prober {
	return &Prober{
		allow: allow, samples: semaphore.NewWeighted(maxSamples), requests: rate.NewLimiter(maxRequests, maxSamples),
		inFlight: semaphore.NewWeighted(maxInFlight), results: make(chan event.GenericEvent), running: map[types.NamespacedName]*measurement{},
	}
}

// Results returns the channel of rollouts to reconcile because they have a new result.
func (p *Prober) Results() <-chan event.GenericEvent { return p.results }

// Start implements manager.Runnable. When it returns, all measurements have ended.
func (p *Prober) Start(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	p.stopped = true
	for _, m := range p.running {
		m.cancel()
	}
	p.mu.Unlock()
	p.group.Wait()
	return nil
}

// Measure starts the wanted measurement of a rollout, or continues it if it is already running. It stops any other one.
// If wanted is nil, nothing is measured.
func (p *Prober) Measure(ctx context.Context, rollout types.NamespacedName, wanted *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.running[rollout]; m != nil {
		if wanted != nil && m.request == *wanted {
			return
		}
		m.cancel()
		delete(p.running, rollout)
	}
	if wanted == nil || p.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a measurement outlives the pass that starts it
	m := &measurement{Prober: p, request: *wanted, cancel: cancel}
	p.running[rollout] = m
	p.group.Go(func() {
		m.run(ctx, func() { p.notify(ctx, rollout) })
		cancel()
	})
}

// Result returns what has been measured for a rollout so far.
func (p *Prober) Result(rollout types.NamespacedName) plan.Probe {
	p.mu.Lock()
	m := p.running[rollout]
	p.mu.Unlock()
	if m == nil {
		return plan.Probe{}
	}
	return m.result()
}

func (p *Prober) notify(ctx context.Context, rollout types.NamespacedName) {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: rollout.Namespace, Name: rollout.Name}}
	select {
	case p.results <- event.TypedGenericEvent[client.Object]{Object: object}:
	case <-ctx.Done():
	}
}
