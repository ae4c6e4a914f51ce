// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// wanted is what is wanted of one rollout.
type wanted struct {
	tasks []*task
	// isUnreported is set if a task has a result that has woken no pass yet.
	isUnreported bool
}

// task is a measurement that is wanted.
type task struct {
	key         key
	measurement plan.Measurement
	lane        *lane
	// due is the time to measure, or to look at the Job again.
	due time.Time
	// cancel is set while the measurement is being made.
	cancel context.CancelFunc
	// result is nil if there is none yet. Only a Job continues after its first result, until isFinal is set.
	result  *plan.Measured
	isFinal bool
	// job is the state of a Job.
	job jobState
}

// key identifies a task. All measurements of one Job have the same key.
type key struct {
	rollout types.NamespacedName
	id      plan.MeasurementID
}

// Want replaces what is wanted of a rollout. Measurements that are wanted already continue or keep their results; the others are
// canceled, and unfinished Jobs are deleted.
func (r *Runner) Want(rollout types.NamespacedName, measurements []plan.Measurement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.rollouts[rollout]
	if before == nil && len(measurements) == 0 {
		return
	}
	if before == nil {
		before = &wanted{}
	}
	next := &wanted{isUnreported: before.isUnreported}
	for _, measurement := range measurements {
		key := key{rollout, taskID(measurement)}
		if measurement.Probe != nil || next.task(key) != nil {
			continue
		}
		t := before.task(key)
		if t == nil {
			t = r.newTask(key, measurement)
			r.enqueue(t)
		} else if t.measurement.ID != measurement.ID {
			t.continueAs(measurement)
			r.enqueue(t)
		}
		next.tasks = append(next.tasks, t)
	}
	for _, t := range before.tasks {
		if next.task(t.key) == nil {
			r.abandon(t)
		}
	}
	if r.rollouts[rollout] = next; len(next.tasks) == 0 {
		delete(r.rollouts, rollout)
	}
}

// taskID returns the identity of a task. The results of a Job have numbers, but there is one Job.
func taskID(measurement plan.Measurement) plan.MeasurementID {
	id := measurement.ID
	if measurement.Job != nil {
		id.Number = 0
	}
	return id
}

func (w *wanted) task(key key) *task {
	if i := slices.IndexFunc(w.tasks, func(t *task) bool { return t.key == key }); i >= 0 {
		return w.tasks[i]
	}
	return nil
}

func (r *Runner) newTask(key key, measurement plan.Measurement) *task {
	t := &task{key: key, measurement: measurement, lane: r.missing, due: measurement.NotBefore}
	if p := r.providers[providerOf(measurement)]; p != nil {
		t.lane = p.lane
		if compare := measurement.Compare; compare != nil {
			t.due = latest(t.due, compare.From.Add(p.config.delay()+time.Millisecond))
		}
	}
	if measurement.Job != nil && r.jobs != nil {
		t.lane = r.jobs.lane
	}
	return t
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// continueAs lets the results of the same Job count for a later measurement.
func (t *task) continueAs(measurement plan.Measurement) {
	t.measurement = measurement
	if t.isFinal && t.result.Outcome != plan.OutcomeError {
		t.result.ID = measurement.ID
		return
	}
	if t.isFinal {
		t.due = now().Add(startTimeout)
	}
	t.due, t.result, t.isFinal = latest(t.due, measurement.NotBefore), nil, false
}

// enqueue has a worker look at a task when it is due.
func (r *Runner) enqueue(t *task) {
	if r.isRunning {
		t.lane.queue.AddAfter(t.key, min(t.due.Sub(now()), maxDelay))
	}
}

// abandon cancels a task that is no longer wanted.
func (r *Runner) abandon(t *task) {
	if t.cancel != nil {
		t.cancel()
	}
	if t.measurement.Job != nil && r.jobs != nil && !t.isFinal && r.isRunning {
		r.jobs.lane.queue.Add(t.key) // it finds that nobody wants the Job
	}
}

// Results returns what has been measured of what is wanted of a rollout.
func (r *Runner) Results(rollout types.NamespacedName) []plan.Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.rollouts[rollout]
	if w == nil {
		return nil
	}
	var results []plan.Measured
	for _, t := range w.tasks {
		if t.result != nil {
			results = append(results, *t.result)
		}
	}
	return results
}

// take returns the task of a key, what it measures, and a context for it, if it has to be measured now.
func (r *Runner) take(ctx context.Context, key key) (context.Context, *task, plan.Measurement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.rollouts[key.rollout]
	if w == nil {
		return nil, nil, plan.Measurement{}
	}
	t := w.task(key)
	if t == nil || t.isFinal {
		return nil, nil, plan.Measurement{}
	}
	if t.due.After(now()) {
		r.enqueue(t)
		return nil, nil, plan.Measurement{}
	}
	ctx, t.cancel = context.WithCancel(ctx)
	return ctx, t, t.measurement
}

// end keeps the result of a task, if it has one and is still wanted.
func (r *Runner) end(t *task, result *plan.Measured, isFinal bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.cancel()
	t.cancel = nil
	w := r.rollouts[t.key.rollout]
	if w == nil || w.task(t.key) != t || !r.isRunning {
		return
	}
	if !isFinal {
		r.enqueue(t)
	}
	if result == nil || !isFinal && t.result != nil {
		return
	}
	result.ID = t.measurement.ID
	t.result, t.isFinal = result, isFinal
	metrics.RecordMeasurement(kindOf(t.measurement), string(result.Outcome))
	w.isUnreported = true
	delay := time.Duration(0)
	if w.expectsMore(now()) {
		delay = hold
	}
	r.wake.AddAfter(t.key.rollout, delay)
}

// expectsMore reports whether another result is probable before long.
func (w *wanted) expectsMore(at time.Time) bool {
	return slices.ContainsFunc(w.tasks, func(t *task) bool {
		return t.measurement.Job == nil && t.result == nil && (t.cancel != nil || t.due.Before(at.Add(hold)))
	})
}
