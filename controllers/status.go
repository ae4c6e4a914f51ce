// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// write is the status write of a pass.
type write struct {
	// rollout is the one that the pass was based on; after the write, the one that was written.
	rollout *observe.Rollout
	// version is the rollout's resourceVersion after the actions of this pass.
	version string
	// status is the status to write.
	status v1alpha1.CanaryRolloutStatus
}

// writeStatus writes the status if it has changed. A rollout that changed in between is a conflict. The write is
// strict: a field that the installed CRD does not know would be dropped silently, and memory with it.
func (r *Reconciler) writeStatus(ctx context.Context, w *write) error {
	if equality.Semantic.DeepEqual(w.rollout.Status, w.status) {
		return nil
	}
	base := w.rollout.DeepCopy()
	base.ResourceVersion = w.version
	next := base.DeepCopy()
	next.Status = w.status
	next.Status.Manager = r.Manager
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	err := r.Status.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager), client.FieldValidation(metav1.FieldValidationStrict))
	if observe.IsRefusal(err) {
		r.report(w.rollout, []plan.Event{{
			Warning: true, Reason: v1alpha1.ReasonReconcileError, Repeats: true,
			Message: "the status cannot be written, so the rollout cannot continue; if the installed CustomResourceDefinition is older than the operator, update it: " + err.Error(),
		}})
	}
	if err != nil {
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

// fail writes what a pass decided, although one of its writes failed: an abort must not wait until a quota is raised.
// If the API server refused a request, the status and an Event say so. It returns the cause, or the error of the
// status write.
func (r *Reconciler) fail(ctx context.Context, w write, events []plan.Event, cause error, now time.Time) error {
	before := w.rollout.CanaryRollout
	if observe.IsRefusal(cause) {
		w.status = plan.Failed(before.Status, w.status, before.Generation, cause.Error(), now)
		events = slices.DeleteFunc(events, func(event plan.Event) bool { return event.Reason == plan.EventRecovered })
		if before.Status.Message != w.status.Message {
			events = append(events, plan.Event{Warning: true, Reason: v1alpha1.ReasonReconcileError, Message: cause.Error()})
		}
	}
	switch err := r.writeStatus(ctx, &w); {
	case isStaleWrite(err):
	case err != nil:
		return err
	case !equality.Semantic.DeepEqual(before.Status, w.status):
		metrics.Record(before, w.rollout.CanaryRollout)
		r.report(w.rollout, events)
	}
	return cause
}
