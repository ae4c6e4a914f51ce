// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply carries plans out: each action is one API call, guarded by what the plan was made from, so that a
// change in between is a conflict and never overwritten. It takes a writer, cannot read, and decides nothing.
//
// The guards: resourceVersion for rollouts, ReplicaSets and Services; uid, generation and values for routes, whose
// status gateways write all the time. Every patch touches only the fields that it changes.
package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Applier applies plans. It is safe for concurrent use.
type Applier struct {
	Writer client.Writer
}

// Result is the outcome of a plan, also of one that failed in part.
type Result struct {
	// Writes are the successful writes, in order.
	Writes []observe.Write
	// Events are those of the actions that were carried out, in order.
	Events []plan.Event
	// Failed are the actions that were not carried out: those that failed, and those that were not tried after them.
	Failed []plan.Action
	// ResourceVersion is that of the rollout after the actions. It guards the status write.
	ResourceVersion string
	// FinalizerRemoved reports whether our finalizer was removed. Then there may be no rollout left to write a status to.
	FinalizerRemoved bool
}

// Apply carries out the actions in order and returns the first error. A refusal by the API server only prevents the
// removal of the finalizer; the other actions still run. Any other failure ends the plan, since the next action would
// most likely fail in the same way, or is based on an outdated view.
func (a *Applier) Apply(ctx context.Context, snap *observe.Snapshot, actions []plan.Action) (Result, error) {
	run := &run{Applier: a, Snapshot: snap, rollout: snap.Rollout, versions: map[string]string{}}
	var first error
	for i, action := range actions {
		if _, isEnd := action.(plan.RemoveFinalizer); isEnd && first != nil {
			run.failed = append(run.failed, actions[i:]...)
			break
		}
		err := run.do(ctx, action)
		if err == nil {
			run.announce(plan.EventOf(action))
			continue
		}
		first = cmp.Or(first, err)
		if !observe.IsRefusal(err) && !apierrors.IsInternalError(err) { // a webhook that does not answer is an internal error
			run.failed = append(run.failed, actions[i:]...)
			break
		}
		run.failed = append(run.failed, action)
	}
	return run.result(), first
}

// run is the execution of one plan.
type run struct {
	*Applier
	*observe.Snapshot

	// rollout is the rollout after our last write to it.
	rollout metav1.Object
	// versions are the resourceVersions of ReplicaSets after our writes, by name.
	versions         map[string]string
	writes           []observe.Write
	events           []plan.Event
	failed           []plan.Action
	finalizerRemoved bool
}

func (r *run) result() Result {
	return Result{Writes: r.writes, Events: r.events, Failed: r.failed, ResourceVersion: r.rollout.GetResourceVersion(), FinalizerRemoved: r.finalizerRemoved}
}

func (r *run) announce(event plan.Event) {
	if event.Reason != "" {
		r.events = append(r.events, event)
	}
}

// do carries out one action and logs it with its reason.
func (r *run) do(ctx context.Context, action plan.Action) error {
	what, write, err := r.call(ctx, action)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if write != nil {
		r.writes = append(r.writes, *write)
		log.FromContext(ctx).Info("Applied", "action", what, "reason", action.Because())
	}
	return nil
}

// call makes the one API call of an action. It returns no write if there was nothing to do.
func (r *run) call(ctx context.Context, action plan.Action) (what string, write *observe.Write, err error) {
	switch act := action.(type) {
	case plan.AddFinalizer:
		write, err = r.addFinalizer(ctx)
		return "add the finalizer", write, err
	case plan.RemoveFinalizer:
		write, err = r.removeFinalizer(ctx)
		return "remove the finalizer", write, err
	case plan.RemoveAnnotations:
		write, err = r.removeAnnotations(ctx, act.Keys)
		return fmt.Sprintf("remove the annotations %v", act.Keys), write, err
	case plan.SetReplicas:
		write, err = r.setReplicas(ctx, act)
		return fmt.Sprintf("set spec.replicas to %d", act.Replicas), write, err
	case plan.AdoptReplicaSet:
		write, err = r.adoptReplicaSet(ctx, act)
		return "adopt ReplicaSet " + act.Name, write, err
	case plan.CreateReplicaSet:
		write, err = r.createReplicaSet(ctx, act)
		return fmt.Sprintf("create the ReplicaSet of revision %s with %d pods", act.Revision, act.Replicas), write, err
	case plan.ScaleReplicaSet:
		write, err = r.scaleReplicaSet(ctx, act)
		return fmt.Sprintf("scale ReplicaSet %s to %d pods", act.Name, act.Replicas), write, err
	case plan.MarkReplicaSet:
		write, err = r.markReplicaSet(ctx, act)
		return "mark ReplicaSet " + act.Name, write, err
	case plan.DeleteReplicaSet:
		write, err = r.deleteReplicaSet(ctx, act)
		return "delete ReplicaSet " + act.Name, write, err
	case plan.PointService:
		write, err = r.pointService(ctx, act)
		return fmt.Sprintf("point Service %s at revision %q", act.Name, act.Revision), write, err
	case plan.SetTraffic:
		write, err = r.setTraffic(ctx, act)
		return fmt.Sprintf("set the canary's share in %s %s to %d %%", act.Kind, act.Name, act.Weight), write, err
	}
	return fmt.Sprintf("%T", action), nil, errUnknownAction
}

// patch sends a merge patch for an observed object. It returns what the object is now, without spec and status: nobody reads them,
// so they are neither sent nor decoded.
func (r *run) patch(ctx context.Context, kind schema.GroupVersionKind, observed metav1.Object, fields map[string]any) (
	*metav1.PartialObjectMetadata, error,
) {
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	object := named(kind, observed)
	return object, r.Writer.Patch(ctx, object, client.RawPatch(types.MergePatchType, data), fieldOwner)
}

const fieldOwner = client.FieldOwner(v1alpha1.FieldManager)

// wrote describes a write of an object that the cache already held.
func wrote(object observe.Object, written metav1.Object) *observe.Write {
	return &observe.Write{Object: object, UID: written.GetUID(), ResourceVersion: written.GetResourceVersion()}
}

// named returns an object of that kind, with the name of the observed one, to send a patch for. The API server answers with the
// metadata only.
func named(kind schema.GroupVersionKind, observed metav1.Object) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: observed.GetNamespace(), Name: observed.GetName()}}
	object.SetGroupVersionKind(kind)
	return object
}
