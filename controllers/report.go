// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// eventAction is the action of every Event. The API requires one; the reason says more.
	eventAction = "Reconcile"
	// noteLimit is the limit of events.k8s.io for a note, in bytes.
	noteLimit = 1024
)

// report emits Events, after what they describe has been written.
func (r *Reconciler) report(rollout *observe.Rollout, events []plan.Event) {
	for _, event := range joined(events) {
		kind := corev1.EventTypeNormal
		if event.Warning {
			kind = corev1.EventTypeWarning
		}
		regarding, action := identity(rollout, event)
		r.Recorder.Eventf(regarding, nil, kind, event.Reason, action, "%s", cut(event.Message))
	}
}

// reportSecondManager warns that another manager works on the same rollout. Each write is guarded by the version that it is
// based on, so the two do not undo each other's work. But neither knows how fresh its view is, and if they are of
// different versions, the older one may be wrong.
func (r *Reconciler) reportSecondManager(ctx context.Context, rollout *observe.Rollout) {
	other := r.otherManagers.observe(&rollout.CanaryRollout)
	if other == "" {
		return
	}
	log.FromContext(ctx).Info("A second manager works on this rollout: uninstall one of them, or give them different namespaces",
		"lease", r.Manager, "otherLease", other)
	r.report(rollout, []plan.Event{{
		Warning: true, Repeats: true, Reason: plan.EventSecondManager,
		Message: fmt.Sprintf("the manager with the lease %s works on this rollout beside the one with the lease %s: uninstall one of them, "+
			"or give them different namespaces", other, r.Manager),
	}})
}

// identity returns what the recorder deduplicates an Event by. Events with the same object, reason and action are
// counted as one, with the first message. The object includes its resourceVersion. A repeating Event omits it, so
// that it is counted, and has a hash of its message in the action, so that a different message is a separate Event.
func identity(rollout *observe.Rollout, event plan.Event) (regarding *v1alpha1.CanaryRollout, action string) {
	if !event.Repeats {
		return &rollout.CanaryRollout, eventAction
	}
	unversioned := rollout.DeepCopy()
	unversioned.ResourceVersion = ""
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(event.Message)) // never fails
	return unversioned, fmt.Sprintf("%s-%08x", eventAction, hash.Sum32())
}

// joined merges Events that differ only in their message. The recorder does not compare messages, and would show only
// the first.
func joined(events []plan.Event) []plan.Event {
	var kept []plan.Event
	at := map[plan.Event]int{}
	for _, event := range events {
		same := plan.Event{Warning: event.Warning, Reason: event.Reason}
		if i, found := at[same]; found {
			kept[i].Message += "; " + event.Message
			continue
		}
		at[same] = len(kept)
		kept = append(kept, event)
	}
	return kept
}

// cut shortens a message to the API's limit, at a character boundary.
func cut(message string) string {
	if len(message) <= noteLimit {
		return message
	}
	const ellipsis = "..."
	return strings.ToValidUTF8(message[:noteLimit-len(ellipsis)], "") + ellipsis
}
