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
// command would take two passes. An update that is no news starts none.
func watchRollouts(b *builder.Builder, isNews func(event.UpdateEvent) bool) *builder.Builder {
	commanded, news := predicate.NewPredicateFuncs(isCommanded), predicate.Funcs{UpdateFunc: isNews}
	return b.
		For(&observe.Rollout{}, builder.WithPredicates(news, predicate.Not[client.Object](commanded))).
		Watches(&observe.Rollout{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { enqueueFirst(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { enqueueFirst(e.ObjectNew, q) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { enqueueFirst(e.Object, q) },
		}, builder.WithPredicates(news, commanded))
}

// isCommanded reports whether a rollout has a command that no pass has carried out yet: passes remove its annotation.
func isCommanded(rollout client.Object) bool {
	annotations := rollout.GetAnnotations()
	for _, command := range []string{v1alpha1.AbortAnnotation, v1alpha1.PromoteAnnotation, v1alpha1.RetryAnnotation} {
		if _, found := annotations[command]; found {
			return true
		}
	}
	return false
}

// enqueueFirst puts a rollout before all others that have no command. The queue of controllerOptions can.
func enqueueFirst(rollout client.Object, q queue) {
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(rollout)}
	q.(priorityqueue.PriorityQueue[reconcile.Request]).AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(commandPriority)}, request)
}
