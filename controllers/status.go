// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one that the API server applies merge patches with
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
	// isAwaited is set if the next pass waits for nothing but this write.
	isAwaited bool
}

// writeStatus writes the status if it has changed. A rollout that changed in between is a conflict. The write is
// strict: a field that the installed CRD does not know would be dropped silently, and memory with it.
func (r *Reconciler) writeStatus(ctx context.Context, w *write) error {
	if isSameStatus(&w.rollout.Status, &w.status) {
		return nil
	}
	next := w.status
	next.Manager = r.Manager
	patch, stored, err := statusPatch(w.version, &w.rollout.Status, &next)
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

// isSameStatus reports whether two statuses are stored as the same: times may differ by what the format does not hold. Encoding both
// takes a fifth of the time that a comparison by reflection takes.
func isSameStatus(a, b *v1alpha1.CanaryRolloutStatus) bool {
	encodedA, errA := json.Marshal(a)
	encodedB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(encodedA, encodedB)
}

// statusPatch returns the merge patch from the prior status to the next one, and the next one as it is stored: with the
// precision that times have there. It sets fields that are gone to null, and replaces lists as a whole. Fields that our types do not
// know are not in it, so they stay. The version makes it a conflict if the rollout has changed, or is another one of that name. It is
// made from the statuses alone: comparing whole rollouts costs several times as much, most of it for the template.
func statusPatch(version string, prior, next *v1alpha1.CanaryRolloutStatus) (patch []byte, stored v1alpha1.CanaryRolloutStatus, err error) {
	before, err := json.Marshal(prior)
	if err != nil {
		return nil, stored, fmt.Errorf("encode the prior status: %w", err)
	}
	after, err := json.Marshal(next)
	if err != nil {
		return nil, stored, fmt.Errorf("encode the status: %w", err)
	}
	if err := json.Unmarshal(after, &stored); err != nil {
		return nil, stored, fmt.Errorf("decode the status: %w", err)
	}
	changes, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		return nil, stored, fmt.Errorf("compare the statuses: %w", err)
	}
	patch, err = json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": version},
		"status":   json.RawMessage(changes),
	})
	return patch, stored, err
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
	switch err := r.writeStatus(ctx, &w); {
	case isStaleWrite(err):
	case err != nil:
		return err
	case !isSameStatus(&before.Status, &w.status):
		metrics.Record(before, &w.rollout.CanaryRollout)
		r.report(w.rollout, events)
	}
	return cause
}
