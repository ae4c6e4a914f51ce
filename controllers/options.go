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

// A request without an answer occupies one of the workers that all rollouts share, so the time of a pass is bounded.
// With backoffMaximum between two passes, 20 rollouts behind an admission webhook that hangs leave some of the
// default 10 workers free.
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

// controllerOptions returns the options of the controller.
func controllerOptions(concurrency int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](backoffBase, backoffMaximum),
		EnableWarmup:            ptr.To(true),
		ReconciliationTimeout:   reconciliationTimeout,
	}
}
