// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// workers is how many measurements each provider may make at once.
	workers = 4
	// hold is how long a result may wait for others of its rollout, so that they take one pass.
	hold = 500 * time.Millisecond
	// maxDelay is how long a measurement stays in a queue at most before it is looked at. One that is due later is queued
	// again, unless it is no longer wanted: queues do not keep what was wanted once.
	maxDelay = time.Minute
)

// Runner makes measurements for any number of rollouts. It is safe for concurrent use.
type Runner struct {
	providers map[string]*provider
	// known are the providers as plans see them.
	known map[string]plan.Provider
	// missing answers for providers that do not exist, jobs runs Jobs.
	missing *lane
	jobs    *jobRunner
	events  chan event.GenericEvent
	// wake has the rollouts with a new result.
	wake workqueue.TypedDelayingInterface[types.NamespacedName]

	mu sync.Mutex
	// isRunning is set from the beginning of Start to its end. There are no queues otherwise.
	isRunning bool
	rollouts  map[types.NamespacedName]*wanted
}

// lane is a queue with its own workers. Each key is processed by one of them at a time.
type lane struct {
	queue   workqueue.TypedDelayingInterface[key] // nil before Start
	workers int
	process func(ctx context.Context, key key)
}

// NewRunner returns a Runner without measurements. jobs is nil if the manager may not run Jobs.
func NewRunner(providers Providers, jobs *Jobs) *Runner {
	r := &Runner{
		providers: providers.byName, known: providers.known(), missing: &lane{workers: 1},
		events: make(chan event.GenericEvent), rollouts: map[types.NamespacedName]*wanted{},
	}
	r.missing.process = r.measurer(notFound)
	for _, p := range r.providers {
		p.lane.process = r.measurer(p.measure)
	}
	if jobs != nil {
		r.jobs = newJobRunner(r, *jobs)
	}
	return r
}

// Events returns the channel of rollouts to reconcile because they have new results.
func (r *Runner) Events() <-chan event.GenericEvent { return r.events }

// Providers returns the metric providers by name. The map must not be changed.
func (r *Runner) Providers() map[string]plan.Provider { return r.known }

// JobsAllowed reports whether the manager may run Jobs.
func (r *Runner) JobsAllowed() bool { return r.jobs != nil }

// Start implements manager.Runnable. When it returns, all measurements have ended. Jobs continue: the next leader looks at them.
func (r *Runner) Start(ctx context.Context) error {
	var group sync.WaitGroup
	lanes := r.begin()
	for _, l := range lanes {
		for range l.workers {
			group.Go(func() { l.work(ctx) })
		}
	}
	group.Go(func() { r.notify(ctx) })
	<-ctx.Done()
	r.mu.Lock()
	r.isRunning = false
	r.mu.Unlock()
	for _, l := range lanes {
		l.queue.ShutDown()
	}
	r.wake.ShutDown()
	group.Wait()
	for _, p := range r.providers {
		p.Client.CloseIdleConnections()
	}
	return nil
}

// begin makes the queues, with what is wanted already.
func (r *Runner) begin() []*lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	lanes := []*lane{r.missing}
	for _, p := range r.providers {
		lanes = append(lanes, p.lane)
	}
	if r.jobs != nil {
		lanes = append(lanes, r.jobs.lane)
	}
	for _, l := range lanes {
		l.queue = workqueue.NewTypedDelayingQueue[key]()
	}
	r.wake = workqueue.NewTypedDelayingQueue[types.NamespacedName]()
	r.isRunning = true
	for _, w := range r.rollouts {
		for _, t := range w.tasks {
			r.enqueue(t)
		}
	}
	return lanes
}

func (l *lane) work(ctx context.Context) {
	for {
		key, isShutDown := l.queue.Get()
		if isShutDown {
			return
		}
		l.process(ctx, key)
		l.queue.Done(key)
	}
}

// notify sends the rollouts with new results to the reconciler.
func (r *Runner) notify(ctx context.Context) {
	for {
		rollout, isShutDown := r.wake.Get()
		if isShutDown {
			return
		}
		if r.report(rollout) {
			object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: rollout.Namespace, Name: rollout.Name}}
			select {
			case r.events <- event.GenericEvent{Object: object}:
			case <-ctx.Done():
			}
		}
		r.wake.Done(rollout)
	}
}

// report reports whether a rollout has results that have not been reported yet.
func (r *Runner) report(rollout types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.rollouts[rollout]
	if w == nil || !w.isUnreported {
		return false
	}
	w.isUnreported = false
	return true
}

// measurer returns a function that makes a measurement once.
func (r *Runner) measurer(measure func(context.Context, plan.Measurement) plan.Measured) func(context.Context, key) {
	return func(ctx context.Context, key key) {
		ctx, t, wanted := r.take(ctx, key)
		if t == nil {
			return
		}
		result := measure(ctx, wanted)
		if ctx.Err() != nil {
			r.end(t, nil, true)
			return
		}
		r.end(t, &result, true)
	}
}

// now is the time of a measurement. It has no influence on a plan but through results.
func now() time.Time { return clock.RealClock{}.Now() }
