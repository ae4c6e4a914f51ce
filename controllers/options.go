// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// A request that is not answered holds one of the workers that all rollouts share, so the time of a pass is bounded.
// With backoffMaximum between two passes, 20 rollouts behind an admission webhook that hangs leave some of the default
// 10 workers free.
const (
	// reconciliationTimeout bounds all of a pass. What the dry run and the actions leave of it is for the status.
	reconciliationTimeout = 45 * time.Second
	// dryRunTimeout bounds the dry run of a pod template. A webhook has 10 seconds by default: the answer that names the
	// webhook comes before this timeout.
	dryRunTimeout = 15 * time.Second
	// actionsTimeout bounds the writes of a plan. Those that were not tried by then count as failed.
	actionsTimeout = 20 * time.Second
	// Backoff is kept per rollout, and there is no limit on all of them together: a broken object never slows
	// another one. It is bounded, so that a rollout whose cause was put right does not wait for long.
	backoffBase, backoffMaximum = 50 * time.Millisecond, 30 * time.Second
)

// controllerOptions are those of the one controller.
func controllerOptions(concurrency int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](backoffBase, backoffMaximum),
		EnableWarmup:            ptr.To(true),
		ReconciliationTimeout:   reconciliationTimeout,
	}
}
