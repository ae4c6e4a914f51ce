// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
)

// Priorities of passes; the highest is first. controller-runtime gives handler.LowPriority, which is -100, to what the
// first list and resyncs bring. A pass that waits for the cache keeps its priority. A retry after an error has at most the default.
const (
	defaultPriority = 0
	commandPriority = 100
)

// queue is the queue of the controller, as handlers get it.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watchRollouts makes the controller reconcile rollouts. A person waits for a command, above all for an abort, so its
// pass is the next one, however many other rollouts are queued. Each event is for one of the two handlers: with both, a
// command would take two passes. updated decides whether an update starts a pass.
func watchRollouts(b *builder.Builder, updated func(client.Object, queue)) *builder.Builder {
	return b.
		For(&observe.Rollout{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(e event.CreateEvent) bool { return !isCommanded(e.Object) },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		Watches(&observe.Rollout{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
				if isCommanded(e.Object) {
					enqueueRollout(e.Object, q)
				}
			},
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { updated(e.ObjectNew, q) },
		})
}

// isCommanded reports whether a rollout has a command that no pass has carried out yet. Passes accept it into memory, and remove its
// annotation before they carry it out. So the pass that promotes is for a rollout that no longer has the annotation.
func isCommanded(rollout client.Object) bool {
	if r, isRollout := rollout.(*observe.Rollout); isRollout && r.Status.Memory != nil && r.Status.Memory.Command != nil {
		return true
	}
	annotations := rollout.GetAnnotations()
	for _, command := range []string{v1alpha1.AbortAnnotation, v1alpha1.PromoteAnnotation, v1alpha1.RetryAnnotation} {
		if _, found := annotations[command]; found {
			return true
		}
	}
	return false
}

// enqueueRollout puts a rollout with a command before all others that have none. The queue of controllerOptions can.
func enqueueRollout(rollout client.Object, q queue) {
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(rollout)}
	if isCommanded(rollout) {
		q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(commandPriority)}, request)
		return
	}
	q.Add(request)
}
