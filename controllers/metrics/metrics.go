// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the collectors for rollouts. Gauges are computed from the statuses of the rollouts that Export is given, in each
// scrape. Histograms and counters are changed only through Record and Forget, so such a series ends when a pass finds its object gone.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
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
var all = []vec{stepDuration, releaseDuration, notificationsDropped}

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

// Record updates the histograms and counters from the object before a pass, prev, and after it, next. They are the same if the
// pass wrote no status.
func Record(prev, next *v1alpha1.CanaryRollout) {
	recordStep(prev, next)
	recordReleases(prev, next)
	recordDropped(prev, next)
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

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
