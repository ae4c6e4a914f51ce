// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// conditions maps the type of a condition to its status and reason.
type conditions map[string]string

func conditionsOf(rollout *v1alpha1.CanaryRollout) conditions {
	got := conditions{}
	for _, c := range rollout.Status.Conditions {
		got[c.Type] = string(c.Status) + " " + c.Reason
	}
	return got
}

// with returns a copy with some conditions changed: pairs of a type, and its status and reason.
func (c conditions) with(changes ...string) conditions {
	changed := maps.Clone(c)
	for i := 0; i < len(changes); i += 2 {
		changed[changes[i]] = changes[i+1]
	}
	return changed
}

// inFlight returns the conditions of a rollout in progress for this reason, while stable is healthy.
func inFlight(reason string) conditions {
	return conditions{
		"Ready": "False " + reason, "Reconciling": "True " + reason, "Stalled": "False NotStalled",
		"Available": "True PodsAvailable", "Progressing": "True " + reason, "Paused": "False NotPaused",
		"TrafficRouted": "True Verified",
	}
}

// stalled returns the conditions of a rollout that needs help for this reason, while stable is healthy.
func stalled(reason string) conditions {
	return inFlight(reason).with("Reconciling", "False "+reason, "Stalled", "True "+reason, "Progressing", "False "+reason)
}

var atRest = inFlight("Healthy").with("Ready", "True Healthy", "Reconciling", "False Healthy", "Progressing", "True Complete")

// checkConditions compares type, status and reason of all conditions.
func checkConditions(t *testing.T, rollout *v1alpha1.CanaryRollout, want conditions) {
	t.Helper()
	if diff := cmp.Diff(want, conditionsOf(rollout)); diff != "" {
		t.Errorf("%s\nconditions (-want +got):\n%s", describe(rollout), diff)
	}
}

// check checks every published status against the rules for all of them, up to the first violation.
func (p *publications) check(t *testing.T) {
	t.Helper()
	seen, _ := p.all()
	var prior *v1alpha1.CanaryRollout
	before := t.Failed()
	for _, published := range seen {
		rollout := published.rollout
		if rollout.Status.State == "" {
			continue
		}
		if t.Failed() && !before {
			return
		}
		checkWellFormed(t, rollout)
		checkConsistent(t, rollout)
		if prior != nil && prior.UID == rollout.UID {
			checkTransitions(t, prior, rollout)
		}
		prior = rollout
	}
}

// checkWellFormed: all conditions are set, with an observed generation. Measured comes with an analysis, and Notified with
// spec.notifications.
func checkWellFormed(t *testing.T, rollout *v1alpha1.CanaryRollout) {
	t.Helper()
	s, want := rollout.Status, len(atRest)
	for _, optional := range []string{v1alpha1.ConditionMeasured, v1alpha1.ConditionNotified} {
		if meta.FindStatusCondition(s.Conditions, optional) != nil {
			want++
		}
	}
	if len(s.Conditions) != want || s.ObservedGeneration == 0 || s.Message == "" || len(s.History) > 10 {
		t.Errorf("a status with %d conditions and %d releases: %s", len(s.Conditions), len(s.History), describe(rollout))
	}
	for _, c := range s.Conditions {
		if c.ObservedGeneration != s.ObservedGeneration || c.Reason == "" || c.LastTransitionTime.IsZero() {
			t.Errorf("condition %+v of %s", c, describe(rollout))
		}
	}
}

// checkConsistent: for kstatus, a rollout is exactly one of ready, reconciling and stalled, and this matches its
// state.
func checkConsistent(t *testing.T, rollout *v1alpha1.CanaryRollout) {
	t.Helper()
	is := func(kind string) bool { return meta.IsStatusConditionTrue(rollout.Status.Conditions, kind) }
	want := "Reconciling"
	switch rollout.Status.State {
	case v1alpha1.StateHealthy:
		want = "Ready"
	case v1alpha1.StateAborted, v1alpha1.StateDegraded:
		want = "Stalled"
	}
	for _, kind := range []string{"Ready", "Reconciling", "Stalled"} {
		if is(kind) != (kind == want) {
			t.Errorf("%s is %v, and %s should be True: %s", kind, is(kind), want, describe(rollout))
		}
	}
	isPaused := rollout.Status.State == v1alpha1.StatePaused
	hasFailed := meta.FindStatusCondition(rollout.Status.Conditions, "Ready").Reason == v1alpha1.ReasonReconcileError
	if is("Paused") != isPaused && !hasFailed || is("Paused") != (rollout.Status.Pause != nil) {
		t.Errorf("Paused is %v and status.pause %+v: %s", is("Paused"), rollout.Status.Pause, describe(rollout))
	}
	if stable := rollout.Status.Stable; stable != nil && is("Available") && stable.Available == 0 && stable.Desired > 0 {
		t.Errorf("Available without an available pod: %s", describe(rollout))
	}
}

// checkTransitions: a transition time changes when, and only when, the status changes.
func checkTransitions(t *testing.T, prior, next *v1alpha1.CanaryRollout) {
	t.Helper()
	for _, was := range prior.Status.Conditions {
		is := meta.FindStatusCondition(next.Status.Conditions, was.Type)
		if is == nil {
			continue
		}
		if is.Status == was.Status && !is.LastTransitionTime.Equal(&was.LastTransitionTime) || is.LastTransitionTime.Before(&was.LastTransitionTime) {
			t.Errorf("%s went from %s at %s to %s at %s", is.Type, was.Status, at(was), is.Status, at(*is))
		}
	}
}

func at(c metav1.Condition) string { return c.LastTransitionTime.UTC().Format("15:04:05") }
