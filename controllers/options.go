// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"runtime"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

const (
	// workersPerCPU is the default number of workers for each CPU. A pass that writes computes for about a quarter of its
	// time, and waits for the API server for the rest: four of them keep one CPU busy, and more would only wait for it.
	workersPerCPU = 4
	// minimumWorkers is the default number of workers on a machine with few CPUs. With backoffMaximum between two passes,
	// 20 rollouts behind an admission webhook that hangs leave some of 10 workers free.
	minimumWorkers = 10
)

// DefaultConcurrency returns how many rollouts to reconcile at once: four for each CPU that this process may use, and
// at least ten.
func DefaultConcurrency() int { return max(minimumWorkers, workersPerCPU*runtime.GOMAXPROCS(0)) }

// A request without an answer occupies one of the workers that all rollouts share, so the time of a pass is bounded.
const (
	// reconciliationTimeout bounds a whole pass. The time left by the dry run and the actions is for the status write.
	reconciliationTimeout = 45 * time.Second
	// dryRunTimeout bounds the dry run of a pod template. A webhook times out after 10 seconds by default, so the
	// error that names the webhook arrives before this timeout.
	dryRunTimeout = 15 * time.Second
	// actionsTimeout bounds the writes of a plan. Writes that were not tried by then count as failed.
	actionsTimeout = 20 * time.Second
	// Backoff is per rollout, without an overall limit, so a broken object never slows down another one. It is
	// capped, so that a rollout whose problem was fixed does not wait long.
	backoffBase, backoffMaximum = 50 * time.Millisecond, 30 * time.Second
)

// controllerOptions returns the options of the controller of a shard.
func controllerOptions(concurrency int, of shard.Shard) controller.Options {
	return controller.Options{
		NewQueue:                newShardQueue(of),
		MaxConcurrentReconciles: concurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](backoffBase, backoffMaximum),
		EnableWarmup:            ptr.To(true),
		ReconciliationTimeout:   reconciliationTimeout,
	}
}
