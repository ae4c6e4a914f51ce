// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// These are about metric providers, which rollouts share, so Forget does not delete them.
var (
	measurements = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "canaryrollout_measurements_total", Help: "Measurements of analyses, by the kind of the metric and by how they ended.",
	}, []string{"kind", labelOutcome})
	providerRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "canaryrollout_metric_provider_requests_total", Help: "Requests to metric providers, by whether they had an answer.",
	}, []string{"provider", labelOutcome})
)

func init() { metrics.Registry.MustRegister(measurements, providerRequests) }

// RecordMeasurement counts a measurement that has ended.
func RecordMeasurement(kind, outcome string) { measurements.WithLabelValues(kind, outcome).Inc() }

// RecordProviderRequest counts a request to a metric provider.
func RecordProviderRequest(provider string, isAnswered bool) {
	outcome := "Failed"
	if isAnswered {
		outcome = "Answered"
	}
	providerRequests.WithLabelValues(provider, outcome).Inc()
}
