// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// shardQueue is a queue that takes only the rollouts of a shard. Whatever an event is for, it comes through here, so no pass
// for another rollout begins.
type shardQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]

	shard shard.Shard
}

// newShardQueue returns the function that makes the queue of a controller.
func newShardQueue(of shard.Shard) func(string, workqueue.TypedRateLimiter[reconcile.Request]) queue {
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) queue {
		all := priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })
		return shardQueue{PriorityQueue: all, shard: of}
	}
}

// AddWithOpts implements priorityqueue.PriorityQueue. A pass that failed was first once: its retry waits its turn. Otherwise some
// commands whose passes fail slowly, as behind a webhook that hangs, would take all workers for as long as it hangs.
func (q shardQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	if isRetry := o.RateLimited; isRetry && ptr.Deref(o.Priority, defaultPriority) > defaultPriority {
		o.Priority = ptr.To(defaultPriority)
	}
	own := slices.DeleteFunc(slices.Clone(requests), func(r reconcile.Request) bool { return !q.shard.Has(r.NamespacedName) })
	q.PriorityQueue.AddWithOpts(o, own...)
}

// Add implements workqueue.TypedInterface.
func (q shardQueue) Add(request reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, request) }

// AddAfter implements workqueue.TypedDelayingInterface.
func (q shardQueue) AddAfter(request reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, request)
}

// AddRateLimited implements workqueue.TypedRateLimitingInterface.
func (q shardQueue) AddRateLimited(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, request)
}
