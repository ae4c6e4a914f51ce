// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

const (
	// staleBackstop is the requeue delay in case an expected watch event does not arrive.
	staleBackstop = 5 * time.Second
	// conflictBackstop is the requeue delay in case no watch event follows a conflict.
	conflictBackstop = time.Second
)

// outcome separates expected results from errors. An error is logged, counted and retried with backoff.
func outcome(ctx context.Context, err error) (ctrl.Result, error) {
	logger := log.FromContext(ctx).V(1)
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return ctrl.Result{}, nil // the process is shutting down; its successor makes the pass
	case errors.Is(err, observe.ErrStale):
		logger.Info("Waiting for the cache", "cause", err.Error())
		return ctrl.Result{RequeueAfter: staleBackstop}, nil
	case isStaleWrite(err):
		logger.Info("Another write came first", "cause", err.Error())
		return ctrl.Result{RequeueAfter: conflictBackstop}, nil
	}
	return ctrl.Result{}, err
}

// isStaleWrite reports whether an object changed, was created or was deleted between our read and our write, or is
// about to be deleted with its namespace.
func isStaleWrite(err error) bool {
	return !observe.IsRefusal(err) && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause))
}

// noteTakenName records the name that a ReplicaSet could not get, so that the next pass chooses another one.
func (r *Reconciler) noteTakenName(snap *observe.Snapshot, failed []plan.Action, err error) {
	if !apierrors.IsAlreadyExists(err) {
		return
	}
	for _, action := range failed {
		if create, isCreate := action.(plan.CreateReplicaSet); isCreate {
			r.Observer.Tracker.NameTaken(snap.Key(), revision.ReplicaSetName(snap.Name, create.Revision))
			return
		}
	}
}
