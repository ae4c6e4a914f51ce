// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

var (
	desiredWeight = describe("canaryrollout_desired_weight_percent",
		"Share of the canary that the routes should carry.")
	verifiedWeight = describe("canaryrollout_verified_weight_percent",
		"Share of the canary that every route was last verified to carry.")
	trafficVerified = describe("canaryrollout_traffic_verified",
		"1 while every route is verified to carry the desired weight, 0 otherwise.")
	state = describe("canaryrollout_state",
		"State of the rollout: 1 for the one it is in, 0 for the others.", labelState)
	stateEntered = describe("canaryrollout_state_entered_timestamp_seconds",
		"When the rollout came into its state.")
	pauseEnds = describe("canaryrollout_pause_ends_timestamp_seconds",
		"When the pause ends by itself, or its timeout is carried out. There only in such a pause.")
	measured = describe("canaryrollout_measured",
		"1 while every metric of the analysis can be measured, 0 otherwise. There only with an analysis.")
	inconclusive = describe("canaryrollout_inconclusive",
		"1 while an analysis step has ended without a verdict and waits, 0 otherwise. There only with an analysis.")
	transitioned = describe("canaryrollout_transition_timestamp_seconds",
		"When the current step began, or the current phase outside the steps.")
)

// states lists all states of a rollout.
var states = []v1alpha1.State{
	v1alpha1.StateInitializing, v1alpha1.StateHealthy, v1alpha1.StateProgressing, v1alpha1.StatePaused,
	v1alpha1.StatePromoting, v1alpha1.StateAborting, v1alpha1.StateAborted, v1alpha1.StateDegraded,
	v1alpha1.StateTerminating,
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{labelNamespace, labelName}, labels...), nil)
}

// gauges computes the gauges of rollouts from their statuses when they are scraped. Stored ones would take several KiB for each
// rollout.
type gauges struct {
	list atomic.Pointer[func() []*v1alpha1.CanaryRollout]
}

var rollouts = &gauges{}

func init() { metrics.Registry.MustRegister(rollouts) }

// Export sets the function that returns the rollouts to export gauges of. It is called in each scrape, and the rollouts are only read.
func Export(list func() []*v1alpha1.CanaryRollout) { rollouts.list.Store(&list) }

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		desiredWeight, verifiedWeight, trafficVerified, state, stateEntered, pauseEnds, measured, inconclusive, transitioned,
	} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	list := g.list.Load()
	if list == nil {
		return
	}
	for _, rollout := range (*list)() {
		exporter{rollout, out}.export()
	}
}

// exporter exports the gauges of one rollout.
type exporter struct {
	*v1alpha1.CanaryRollout

	out chan<- prometheus.Metric
}

func (e exporter) export() {
	traffic := ptr.Deref(e.Status.Traffic, v1alpha1.TrafficStatus{})
	e.set(desiredWeight, float64(traffic.DesiredWeight))
	e.set(verifiedWeight, float64(traffic.VerifiedWeight))
	e.set(trafficVerified, oneIf(meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionTrafficRouted)))
	for _, s := range states {
		e.set(state, oneIf(s == e.Status.State), string(s))
	}
	e.setTime(stateEntered, stateSince(e.CanaryRollout))
	e.setTime(pauseEnds, pauseEnd(&e.Status))
	if memory := e.Status.Memory; memory != nil && memory.TransitionedAt != nil {
		e.set(transitioned, seconds(memory.TransitionedAt.Time))
	}
	e.exportAnalysis()
}

func (e exporter) exportAnalysis() {
	condition := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionMeasured)
	if condition == nil {
		return
	}
	e.set(measured, oneIf(condition.Status == metav1.ConditionTrue))
	paused := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionPaused)
	isInconclusive := paused != nil && paused.Status == metav1.ConditionTrue && paused.Reason == v1alpha1.ReasonInconclusive
	e.set(inconclusive, oneIf(isInconclusive))
}

// setTime exports nothing if the time is unknown, rather than a time in 1970.
func (e exporter) setTime(desc *prometheus.Desc, at time.Time) {
	if !at.IsZero() {
		e.set(desc, seconds(at))
	}
}

func (e exporter) set(desc *prometheus.Desc, value float64, labels ...string) {
	labels = append([]string{e.Namespace, e.Name}, labels...)
	e.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
