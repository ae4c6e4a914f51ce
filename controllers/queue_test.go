// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// TestShardQueue: whatever brings a rollout into the queue, a pass begins only for those of the shard.
func TestShardQueue(t *testing.T) {
	of := shard.Shard{Index: 1, Count: 3}
	scheme, informers := fakeInformers(t)
	events, begun := make(chan event.GenericEvent, 100), make(chan string)
	passes := reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
		select {
		case begun <- req.Name:
		case <-ctx.Done():
		}
		return ctrl.Result{}, nil
	})
	var own []string
	for i := range 30 {
		name := fmt.Sprintf("app-%d", i)
		if of.Has(types.NamespacedName{Namespace: key.Namespace, Name: name}) {
			own = append(own, name)
		}
		events <- event.GenericEvent{Object: named(name, "")}
	}
	startController(t, scheme, informers, passes, of, source.Channel(events, &handler.EnqueueRequestForObject{}))
	expect := func(what string) {
		t.Helper()
		var got []string
		for range own {
			select {
			case name := <-begun:
				got = append(got, name)
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: only %v are reconciled, want %v", what, got, own)
			}
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(own))) {
			t.Errorf("%s: %v are reconciled, want %v", what, got, own)
		}
	}
	expect("a channel")
	informer, err := informers.FakeInformerFor(t.Context(), &observe.Rollout{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		informer.Add(named(fmt.Sprintf("app-%d", i), ""))
	}
	expect("new rollouts")
	for i := range 30 {
		informer.Update(named(fmt.Sprintf("app-%d", i), ""), named(fmt.Sprintf("app-%d", i), v1alpha1.AbortAnnotation))
	}
	expect("commands")
}

// TestShardQueueMethods: no method of the queue takes a rollout of another shard.
func TestShardQueueMethods(t *testing.T) {
	of := shard.Shard{Index: 0, Count: 2}
	q := newShardQueue(of)("", controllerOptions(1, of).RateLimiter)
	defer q.ShutDown()
	for i := range 40 {
		request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(i)}}
		if of.Has(request.NamespacedName) {
			continue
		}
		q.Add(request)
		q.AddAfter(request, time.Nanosecond)
		q.AddRateLimited(request)
		q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(priorityqueue.AddOpts{}, request)
	}
	time.Sleep(2 * backoffBase) // the longest that one of them would wait
	if q.Len() != 0 {
		t.Errorf("%d rollouts of another shard are in the queue", q.Len())
	}
}

// TestFailedCommand: a pass that has failed no longer comes before the others, or some commands that cannot be carried out, such
// as behind a webhook that hangs, would take all workers in turn. What comes after the others stays there. Another command comes first.
func TestFailedCommand(t *testing.T) {
	q := newShardQueue(shard.Shard{})("", controllerOptions(1, shard.Shard{}).RateLimiter).(priorityqueue.PriorityQueue[reconcile.Request])
	defer q.ShutDown()
	for failed, want := range map[int]int{commandPriority: defaultPriority, defaultPriority: defaultPriority, handler.LowPriority: handler.LowPriority} {
		request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(failed)}}
		q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &failed}, request)
		if got, priority, _ := q.GetWithPriority(); got != request || priority != want {
			t.Errorf("after a failed pass with priority %d, the next pass has priority %d, want %d", failed, priority, want)
		}
		q.Done(request)
	}
	failed, request := commandPriority, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: key.Namespace, Name: "again"}}
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &failed}, request)
	enqueueRollout(named("again", v1alpha1.AbortAnnotation), q)
	if _, priority, _ := q.GetWithPriority(); priority != commandPriority {
		t.Errorf("another command has priority %d", priority)
	}
}
