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
	// staleBackstop is for a watch event that should have come and did not.
	staleBackstop = 5 * time.Second
	// conflictBackstop is for a conflict that no watch event follows.
	conflictBackstop = time.Second
)

// outcome tells what needs no error from what does: an error is logged, counted and retried with backoff.
func outcome(ctx context.Context, err error) (ctrl.Result, error) {
	logger := log.FromContext(ctx).V(1)
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return ctrl.Result{}, nil // the process is on its way out; its successor makes the pass
	case errors.Is(err, observe.ErrStale):
		logger.Info("Waiting for the cache", "cause", err.Error())
		return ctrl.Result{RequeueAfter: staleBackstop}, nil
	case isOvertaken(err):
		logger.Info("Overtaken by another write", "cause", err.Error())
		return ctrl.Result{RequeueAfter: conflictBackstop}, nil
	}
	return ctrl.Result{}, err
}

// isOvertaken says that an object changed, came or went between our look at it and our write; or is about to, with its
// namespace.
func isOvertaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) ||
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// noteTakenName remembers the name that a ReplicaSet could not get, so that the next look at the template does not
// come back with it.
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
