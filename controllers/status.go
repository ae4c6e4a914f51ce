// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// write is the one status write of a pass.
type write struct {
	// rollout is the one that the pass was made from; after the write, the one that was written.
	rollout *observe.Rollout
	// version is the resourceVersion that the rollout has after the actions of this pass.
	version string
	// status is the one to write.
	status v1alpha1.CanaryRolloutStatus
}

// writeStatus writes the status if it says something new; a rollout that changed in between is a conflict.
func (r *Reconciler) writeStatus(ctx context.Context, w *write) error {
	if equality.Semantic.DeepEqual(w.rollout.Status, w.status) {
		return nil
	}
	base := w.rollout.DeepCopy()
	base.ResourceVersion = w.version
	next := base.DeepCopy()
	next.Status = w.status
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Status.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return err
	}
	r.Observer.Tracker.Wrote(w.rollout.Key(), observe.Write{
		Object: observe.Object{Kind: observe.RolloutKind, Name: next.Name},
		UID:    next.UID, ResourceVersion: next.ResourceVersion,
	})
	raw := w.rollout.Raw.DeepCopy()
	raw.SetResourceVersion(next.ResourceVersion)
	w.rollout = &observe.Rollout{CanaryRollout: next, Raw: raw}
	return nil
}

// refuse shows people what the API server will not do, if that is what went wrong, and hands the error on.
func (r *Reconciler) refuse(ctx context.Context, w write, cause error, now time.Time) error {
	if !isRefusal(cause) {
		return cause
	}
	before := w.rollout.Status
	w.status = plan.Failed(before, w.rollout.Generation, cause.Error(), now)
	switch err := r.writeStatus(ctx, &w); {
	case isOvertaken(err):
	case err != nil:
		return err
	case !equality.Semantic.DeepEqual(before, w.status):
		r.report(w.rollout, []plan.Event{{Warning: true, Reason: v1alpha1.ReasonReconcileError, Message: cause.Error()}})
	}
	return cause
}
