// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package notify delivers the transitions that plans have recorded to the sinks that the administrator has named. No pass waits for
// a delivery: what a sink has accepted wakes the rollout, and its plan removes it from the memory.
package notify

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// workers is how many deliveries to each sink may be in flight at once, each for another rollout.
	workers = 4
	// hold is how long an accepted transition may wait for others of its rollout, so that they take one pass.
	hold = 500 * time.Millisecond
	// The back-off after failed deliveries doubles from one to the other. A part of it is random, so that the rollouts that wait
	// for a sink do not ask it all at once.
	minBackOff, maxBackOff = time.Second, time.Minute
)

// Rollout identifies a rollout.
type Rollout struct {
	types.NamespacedName
	UID types.UID
}

// Runner delivers the transitions of any number of rollouts, those of one rollout to one sink in their order. It is safe for
// concurrent use.
type Runner struct {
	sinks map[string]*sink
	// known are the sinks as plans see them, by namespace.
	known  map[string][]plan.Sink
	events chan event.GenericEvent
	// wake has the rollouts for which a sink has accepted something.
	wake workqueue.TypedDelayingInterface[types.NamespacedName]

	mu sync.Mutex
	// isRunning is set from the beginning of Start to its end. There are no queues otherwise.
	isRunning bool
	rollouts  map[types.NamespacedName]*mailbox
}

// key identifies what is to be delivered to one sink for one rollout. Each is processed by one worker at a time.
type key struct {
	rollout Rollout
	sink    string
}

// mailbox is what is to be delivered for a rollout, by sink.
type mailbox struct {
	rollout Rollout
	lines   map[string]*line
}

// line is what is to be delivered to one sink.
type line struct {
	waiting []v1alpha1.TransitionMemory
	dropped int64
	// delivered is the sequence number of the last transition that the sink has accepted from this process.
	delivered int64
	// backOff is the time to the next attempt after a failure; 0 if the last attempt did not fail.
	backOff time.Duration
	// cancel is set while a delivery is in flight.
	cancel context.CancelFunc
}

// NewRunner returns a Runner without deliveries.
func NewRunner(sinks Sinks) *Runner {
	return &Runner{
		sinks: sinks.byName, known: sinks.known(), events: make(chan event.GenericEvent), rollouts: map[types.NamespacedName]*mailbox{},
	}
}

// Events returns the channel of rollouts to reconcile because a sink has accepted something.
func (r *Runner) Events() <-chan event.GenericEvent { return r.events }

// Sinks returns the sinks as the rollouts of a namespace see them. They must not be changed.
func (r *Runner) Sinks(namespace string) []plan.Sink {
	if known, isSpecial := r.known[namespace]; isSpecial {
		return known
	}
	return r.known[""]
}

// Start implements manager.Runnable. When it returns, all deliveries have ended.
func (r *Runner) Start(ctx context.Context) error {
	r.begin()
	var group sync.WaitGroup
	for _, s := range r.sinks {
		for range workers {
			group.Go(func() { r.work(ctx, s) })
		}
	}
	group.Go(func() { r.report(ctx) })
	<-ctx.Done()
	r.mu.Lock()
	r.isRunning = false
	r.mu.Unlock()
	for _, s := range r.sinks {
		s.queue.ShutDown()
	}
	r.wake.ShutDown()
	group.Wait()
	for _, s := range r.sinks {
		s.Client.CloseIdleConnections()
	}
	return nil
}

// begin makes the queues, with what is to be delivered already.
func (r *Runner) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, s := range r.sinks {
		s.queue = workqueue.NewTypedDelayingQueue[key]()
		metrics.RecordSink(name, true)
	}
	r.wake = workqueue.NewTypedDelayingQueue[types.NamespacedName]()
	r.isRunning = true
	for _, box := range r.rollouts {
		for name := range box.lines {
			r.sinks[name].queue.Add(key{box.rollout, name})
		}
	}
}

// Deliver replaces what is to be delivered for a rollout. It must be in the memory of the rollout as it is stored.
func (r *Runner) Deliver(rollout Rollout, deliveries []plan.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.rollouts[rollout.NamespacedName]
	if before == nil && len(deliveries) == 0 {
		return
	}
	next := &mailbox{rollout: rollout, lines: map[string]*line{}}
	for _, delivery := range deliveries {
		if r.sinks[delivery.Sink] == nil {
			continue
		}
		l := &line{}
		if before != nil && before.rollout == rollout && before.lines[delivery.Sink] != nil {
			l = before.lines[delivery.Sink]
			delete(before.lines, delivery.Sink)
		}
		l.waiting, l.dropped = delivery.Transitions, delivery.Dropped
		next.lines[delivery.Sink] = l
		if r.isRunning && l.backOff == 0 && l.first() != nil {
			r.sinks[delivery.Sink].queue.Add(key{rollout, delivery.Sink})
		}
	}
	if before != nil {
		r.abandon(before)
	}
	if r.rollouts[rollout.NamespacedName] = next; len(next.lines) == 0 {
		delete(r.rollouts, rollout.NamespacedName)
	}
}

// abandon ends the deliveries that are not to be made any longer.
func (r *Runner) abandon(box *mailbox) {
	for name, l := range box.lines {
		if l.cancel != nil {
			l.cancel()
		}
		r.setBackOff(name, l, 0)
	}
}

// Forget ends the deliveries of a rollout that no longer exists.
func (r *Runner) Forget(rollout types.NamespacedName) {
	r.Deliver(Rollout{NamespacedName: rollout}, nil)
}

// Delivered returns what sinks have accepted of what is to be delivered for a rollout.
func (r *Runner) Delivered(rollout types.NamespacedName) []plan.Delivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	box := r.rollouts[rollout]
	if box == nil {
		return nil
	}
	var all []plan.Delivered
	for name, l := range box.lines {
		if l.delivered > 0 {
			all = append(all, plan.Delivered{Sink: name, Sequence: l.delivered})
		}
	}
	slices.SortFunc(all, func(a, b plan.Delivered) int { return strings.Compare(a.Sink, b.Sink) })
	return all
}

// first returns the next transition to deliver; nil if there is none.
func (l *line) first() *v1alpha1.TransitionMemory {
	for i := range l.waiting {
		if l.waiting[i].Sequence > l.delivered {
			return &l.waiting[i]
		}
	}
	return nil
}

func (r *Runner) work(ctx context.Context, s *sink) {
	for {
		key, isShutDown := s.queue.Get()
		if isShutDown {
			return
		}
		r.attempt(ctx, s, key)
		s.queue.Done(key)
	}
}

// attempt delivers the first transition of a line once.
func (r *Runner) attempt(ctx context.Context, s *sink, key key) {
	ctx, l, transition, dropped := r.take(ctx, key)
	if l == nil {
		return
	}
	err := s.deliver(ctx, key.rollout, &transition, dropped)
	r.end(ctx, s, key, l, transition.Sequence, err)
}

func (r *Runner) take(ctx context.Context, key key) (context.Context, *line, v1alpha1.TransitionMemory, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.line(key)
	if l == nil {
		return nil, nil, v1alpha1.TransitionMemory{}, 0
	}
	first := l.first()
	if first == nil {
		return nil, nil, v1alpha1.TransitionMemory{}, 0
	}
	ctx, l.cancel = context.WithCancel(ctx)
	return ctx, l, *first, l.dropped
}

func (r *Runner) line(key key) *line {
	box := r.rollouts[key.rollout.NamespacedName]
	if box == nil || box.rollout != key.rollout {
		return nil
	}
	return box.lines[key.sink]
}

// end notes how an attempt ended, and queues the next one.
func (r *Runner) end(ctx context.Context, s *sink, key key, l *line, sequence int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isCanceled := ctx.Err() != nil
	l.cancel()
	l.cancel = nil
	if isCanceled && err != nil {
		return
	}
	metrics.RecordNotification(s.Name, err == nil)
	if r.line(key) != l || !r.isRunning {
		return
	}
	if err != nil {
		if l.backOff == 0 {
			log.FromContext(ctx).Info("A notification is not accepted and is sent again", "sink", s.Name,
				"namespace", key.rollout.Namespace, "name", key.rollout.Name, "error", err.Error())
		}
		r.setBackOff(s.Name, l, min(max(minBackOff, 2*l.backOff), maxBackOff))
		s.queue.AddAfter(key, l.backOff/2+rand.N(l.backOff/2))
		return
	}
	r.setBackOff(s.Name, l, 0)
	l.delivered = sequence
	if l.first() != nil {
		s.queue.Add(key)
	}
	r.wake.AddAfter(key.rollout.NamespacedName, hold)
}

// setBackOff keeps the number of failing lines of a sink, which decides whether the sink counts as up.
func (r *Runner) setBackOff(name string, l *line, backOff time.Duration) {
	s := r.sinks[name]
	switch {
	case l.backOff == 0 && backOff > 0:
		s.failing++
	case l.backOff > 0 && backOff == 0:
		s.failing--
	}
	l.backOff = backOff
	if r.isRunning {
		metrics.RecordSink(name, s.failing == 0)
	}
}

// report sends the rollouts for which a sink has accepted something to the reconciler.
func (r *Runner) report(ctx context.Context) {
	for {
		rollout, isShutDown := r.wake.Get()
		if isShutDown {
			return
		}
		object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: rollout.Namespace, Name: rollout.Name}}
		select {
		case r.events <- event.GenericEvent{Object: object}:
		case <-ctx.Done():
		}
		r.wake.Done(rollout)
	}
}

// now is the time of a request. It has no influence on a plan.
func now() time.Time { return clock.RealClock{}.Now() }
