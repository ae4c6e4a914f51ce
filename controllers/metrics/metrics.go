// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the collectors of rollouts. Record and Forget are its only entrances, so that a series exists
// exactly as long as its object: from the first pass over it to the one that finds it gone.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Labels name the object and, where there is one, what the series is about. A revision is never a label: it would make
// a new series with every release.
const (
	labelNamespace = "namespace"
	labelName      = "name"
	labelState     = "state"
	labelOutcome   = "outcome"
)

var (
	desiredWeight = gauge("canaryrollout_desired_weight_percent",
		"Share of the canary that the routes are meant to carry.")
	verifiedWeight = gauge("canaryrollout_verified_weight_percent",
		"Share of the canary that every route was last proven to carry.")
	state = gauge("canaryrollout_state",
		"State of the rollout: 1 for the one it is in, 0 for the others.", labelState)
	stepStarted = gauge("canaryrollout_step_started_timestamp_seconds",
		"When the current step began, or the current phase outside the steps.")
	stepDuration = histogram("canaryrollout_step_duration_seconds",
		"How long a completed step of a release took.")
	releaseDuration = histogram("canaryrollout_release_duration_seconds",
		"How long a release took, by its outcome.", labelOutcome)
)

// states are all that a rollout can be in.
var states = []v1alpha1.State{
	v1alpha1.StateInitializing, v1alpha1.StateHealthy, v1alpha1.StateProgressing, v1alpha1.StatePaused,
	v1alpha1.StatePromoting, v1alpha1.StateAborting, v1alpha1.StateAborted, v1alpha1.StateDegraded,
	v1alpha1.StateTerminating,
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	labels = append([]string{labelNamespace, labelName}, labels...)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// histogram has buckets from ten seconds to about three days: a pause may last a weekend.
func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	labels = append([]string{labelNamespace, labelName}, labels...)
	buckets := []float64{10, 30, 60, 180, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600}
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func init() {
	metrics.Registry.MustRegister(desiredWeight, verifiedWeight, state, stepStarted, stepDuration, releaseDuration)
}

// Record shows what a pass found, prev, and left, next; they are the same when it wrote no status.
func Record(prev, next *v1alpha1.CanaryRollout) {
	traffic := ptr.Deref(next.Status.Traffic, v1alpha1.TrafficStatus{})
	desiredWeight.WithLabelValues(next.Namespace, next.Name).Set(float64(traffic.DesiredWeight))
	verifiedWeight.WithLabelValues(next.Namespace, next.Name).Set(float64(traffic.VerifiedWeight))
	for _, s := range states {
		isIn := 0.0
		if s == next.Status.State {
			isIn = 1
		}
		state.WithLabelValues(next.Namespace, next.Name, string(s)).Set(isIn)
	}
	recordStep(prev, next)
	recordReleases(prev, next)
}

// Forget ends the series of an object that has gone.
func Forget(rollout types.NamespacedName) {
	labels := prometheus.Labels{labelNamespace: rollout.Namespace, labelName: rollout.Name}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{desiredWeight, verifiedWeight, state, stepStarted, stepDuration, releaseDuration} {
		vec.DeletePartialMatch(labels)
	}
}

// recordStep counts a step as completed when the release went on to the next one.
func recordStep(prev, next *v1alpha1.CanaryRollout) {
	before, after := prev.Status.Memory, next.Status.Memory
	if after == nil || after.StepStartedAt == nil {
		return
	}
	stepStarted.WithLabelValues(next.Namespace, next.Name).Set(seconds(after.StepStartedAt.Time))
	if before == nil || before.StepStartedAt == nil || before.Phase != v1alpha1.PhaseStepping ||
		before.CurrentRevision != after.CurrentRevision || after.StepIndex <= before.StepIndex {
		return
	}
	took := after.StepStartedAt.Sub(before.StepStartedAt.Time)
	stepDuration.WithLabelValues(next.Namespace, next.Name).Observe(took.Seconds())
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// recordReleases counts the releases that ended in this pass.
func recordReleases(prev, next *v1alpha1.CanaryRollout) {
	for _, entry := range next.Status.History {
		if entry.EndedAt == nil || entry.StartedAt == nil || !wasRunning(prev, entry) {
			continue
		}
		releaseDuration.WithLabelValues(next.Namespace, next.Name, string(entry.Outcome)).
			Observe(entry.EndedAt.Sub(entry.StartedAt.Time).Seconds())
	}
}

// wasRunning says that the release of an entry had not ended before.
func wasRunning(prev *v1alpha1.CanaryRollout, entry v1alpha1.HistoryEntry) bool {
	for _, before := range prev.Status.History {
		if before.Revision == entry.Revision && before.StartedAt.Equal(entry.StartedAt) {
			return before.EndedAt == nil
		}
	}
	return false
}
