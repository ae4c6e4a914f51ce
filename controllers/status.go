// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	// change leads from the status of the rollout to that one.
	change statusChange
	// isAwaited is set if the next pass waits for nothing but this write.
	isAwaited bool
}

// writeStatus writes the status if it has changed. A rollout that changed in between is a conflict. The write is
// strict: a field that the installed CRD does not know would be dropped silently, and memory with it.
func (r *Reconciler) writeStatus(ctx context.Context, w *write) error {
	if w.change.isNone() {
		return nil
	}
	if w.status.Manager != r.Manager {
		var err error
		w.status.Manager = r.Manager
		if w.change, err = newStatusChange(&w.rollout.Status, &w.status); err != nil {
			return err
		}
	}
	patch, err := w.change.patch(w.version)
	if err != nil {
		return err
	}
	stored, err := w.change.stored()
	if err != nil {
		return err
	}
	// The answer is asked for without spec and status: decoding them would cost more than making the patch.
	answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: w.rollout.Namespace, Name: w.rollout.Name}}
	answer.SetGroupVersionKind(observe.RolloutKind)
	err = r.Status.Patch(ctx, answer, client.RawPatch(types.MergePatchType, patch),
		client.FieldOwner(v1alpha1.FieldManager), client.FieldValidation(metav1.FieldValidationStrict))
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
		Object: observe.Object{Kind: observe.RolloutKind, Name: answer.Name},
		UID:    answer.UID, ResourceVersion: answer.ResourceVersion, Awaited: w.isAwaited,
	})
	w.rollout = w.rollout.With(answer.ObjectMeta, stored)
	return nil
}

// fail writes what a pass decided, although one of its writes failed: an abort must not wait until a quota is raised.
// If the API server refused a request, the status and an Event say so. It returns the cause, or the error of the
// status write.
func (r *Reconciler) fail(ctx context.Context, w write, events []plan.Event, cause error, now time.Time) error {
	before := &w.rollout.CanaryRollout
	if observe.IsRefusal(cause) {
		w.status = plan.Failed(before.Status, w.status, before.Generation, cause.Error(), now)
		events = slices.DeleteFunc(events, func(event plan.Event) bool { return event.Reason == plan.EventRecovered })
		if before.Status.Message != w.status.Message {
			events = append(events, plan.Event{Warning: true, Reason: v1alpha1.ReasonReconcileError, Message: cause.Error()})
		}
	}
	var err error
	if w.change, err = newStatusChange(&before.Status, &w.status); err != nil {
		return err
	}
	isNone := w.change.isNone() // apart from the manager
	switch err := r.writeStatus(ctx, &w); {
	case isStaleWrite(err):
	case err != nil:
		return err
	case !isNone:
		metrics.Record(before, &w.rollout.CanaryRollout)
		r.report(w.rollout, events)
	}
	return cause
}
