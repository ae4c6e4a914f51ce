// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// eventAction is what an Event says was done; it is required, and the reason says more.
	eventAction = "Reconcile"
	// noteLimit is that of events.k8s.io, in bytes.
	noteLimit = 1024
)

// report emits the Events of a plan, once what they speak of has been written.
func (r *Reconciler) report(rollout *observe.Rollout, events []plan.Event) {
	for _, event := range joined(events) {
		kind := corev1.EventTypeNormal
		if event.Warning {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(regarding(rollout, event), nil, kind, event.Reason, eventAction, "%s", cut(event.Message))
	}
}

// regarding is the rollout as an Event names it. The recorder counts equal Events instead of sending each, but two of
// them are equal only when they name the same resourceVersion: left out, those that repeat are counted.
func regarding(rollout *observe.Rollout, event plan.Event) *v1alpha1.CanaryRollout {
	if !event.Repeats {
		return rollout.CanaryRollout
	}
	unversioned := rollout.DeepCopy()
	unversioned.ResourceVersion = ""
	return unversioned
}

// joined makes one Event of those that differ only in their message: the recorder counts events by everything but the
// message, and would show only the first.
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

// cut shortens a message to what the API takes, at the boundary of a character.
func cut(message string) string {
	if len(message) <= noteLimit {
		return message
	}
	const ellipsis = "..."
	return strings.ToValidUTF8(message[:noteLimit-len(ellipsis)], "") + ellipsis
}
