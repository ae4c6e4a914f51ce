// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the collectors for rollouts. They are changed only through Record and Forget, so a series exists
// exactly as long as its object: from the first pass over it to the one that finds it gone.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Labels name the object and, if applicable, what the series is about. A revision is never a label, because it would
// create new series with every release.
const (
	labelNamespace = "namespace"
	labelName      = "name"
	labelState     = "state"
	labelOutcome   = "outcome"
)

var (
	desiredWeight = gauge("canaryrollout_desired_weight_percent",
		"Share of the canary that the routes should carry.")
	verifiedWeight = gauge("canaryrollout_verified_weight_percent",
		"Share of the canary that every route was last verified to carry.")
	trafficVerified = gauge("canaryrollout_traffic_verified",
		"1 while every route is verified to carry the desired weight, 0 otherwise.")
	state = gauge("canaryrollout_state",
		"State of the rollout: 1 for the one it is in, 0 for the others.", labelState)
	stateEntered = gauge("canaryrollout_state_entered_timestamp_seconds",
		"When the rollout came into its state.")
	pauseEnds = gauge("canaryrollout_pause_ends_timestamp_seconds",
		"When the pause ends by itself, or its timeout is carried out. There only in such a pause.")
	measured = gauge("canaryrollout_measured",
		"1 while every metric of the analysis can be measured, 0 otherwise. There only with an analysis.")
	inconclusive = gauge("canaryrollout_inconclusive",
		"1 while an analysis step has ended without a verdict and waits, 0 otherwise. There only with an analysis.")
	transitioned = gauge("canaryrollout_transition_timestamp_seconds",
		"When the current step began, or the current phase outside the steps.")
	stepDuration = histogram("canaryrollout_step_duration_seconds",
		"How long a step of a release took, by its outcome.", labelOutcome)
	releaseDuration = histogram("canaryrollout_release_duration_seconds",
		"How long a release took, by its outcome.", labelOutcome)
)

// vec is a collector that can delete the series of one rollout.
type vec interface {
	prometheus.Collector
	DeletePartialMatch(labels prometheus.Labels) int
}

// all lists the collectors that are registered and forgotten together.
var all = []vec{
	desiredWeight, verifiedWeight, trafficVerified, state, stateEntered, pauseEnds, measured, inconclusive, transitioned, stepDuration, releaseDuration,
	notificationsDropped,
}

// states lists all states of a rollout.
var states = []v1alpha1.State{
	v1alpha1.StateInitializing, v1alpha1.StateHealthy, v1alpha1.StateProgressing, v1alpha1.StatePaused,
	v1alpha1.StatePromoting, v1alpha1.StateAborting, v1alpha1.StateAborted, v1alpha1.StateDegraded,
	v1alpha1.StateTerminating,
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	labels = append([]string{labelNamespace, labelName}, labels...)
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// histogram has buckets from ten seconds to a week, because a pause may last a weekend.
func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	labels = append([]string{labelNamespace, labelName}, labels...)
	const hour = 3600
	buckets := []float64{10, 30, 60, 180, 600, 1800, hour, 4 * hour, 12 * hour, 24 * hour, 72 * hour, 168 * hour}
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func init() {
	for _, collector := range all {
		metrics.Registry.MustRegister(collector)
	}
}

// Record updates the series from the object before a pass, prev, and after it, next. They are the same if the pass
// wrote no status.
func Record(prev, next *v1alpha1.CanaryRollout) {
	traffic := ptr.Deref(next.Status.Traffic, v1alpha1.TrafficStatus{})
	desiredWeight.WithLabelValues(next.Namespace, next.Name).Set(float64(traffic.DesiredWeight))
	verifiedWeight.WithLabelValues(next.Namespace, next.Name).Set(float64(traffic.VerifiedWeight))
	isVerified := meta.IsStatusConditionTrue(next.Status.Conditions, v1alpha1.ConditionTrafficRouted)
	trafficVerified.WithLabelValues(next.Namespace, next.Name).Set(oneIf(isVerified))
	for _, s := range states {
		state.WithLabelValues(next.Namespace, next.Name, string(s)).Set(oneIf(s == next.Status.State))
	}
	recordTime(stateEntered, next, stateSince(next))
	recordTime(pauseEnds, next, pauseEnd(&next.Status))
	recordAnalysis(next)
	recordStep(prev, next)
	recordReleases(prev, next)
	recordDropped(prev, next)
}

// recordAnalysis deletes the series of a rollout whose analysis was removed.
func recordAnalysis(rollout *v1alpha1.CanaryRollout) {
	condition := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionMeasured)
	if condition == nil {
		measured.DeleteLabelValues(rollout.Namespace, rollout.Name)
		inconclusive.DeleteLabelValues(rollout.Namespace, rollout.Name)
		return
	}
	measured.WithLabelValues(rollout.Namespace, rollout.Name).Set(oneIf(condition.Status == metav1.ConditionTrue))
	paused := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionPaused)
	isInconclusive := paused != nil && paused.Status == metav1.ConditionTrue && paused.Reason == v1alpha1.ReasonInconclusive
	inconclusive.WithLabelValues(rollout.Namespace, rollout.Name).Set(oneIf(isInconclusive))
}

// Forget deletes the series of a deleted object.
func Forget(rollout types.NamespacedName) {
	for _, collector := range all {
		collector.DeletePartialMatch(prometheus.Labels{labelNamespace: rollout.Namespace, labelName: rollout.Name})
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// recordTime deletes the series if the time is unknown, rather than exporting a time in 1970.
func recordTime(gauge *prometheus.GaugeVec, rollout *v1alpha1.CanaryRollout, at time.Time) {
	if at.IsZero() {
		gauge.DeleteLabelValues(rollout.Namespace, rollout.Name)
		return
	}
	gauge.WithLabelValues(rollout.Namespace, rollout.Name).Set(seconds(at))
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
