// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "testing"

// TestMeasurements checks the series that an alert on providers is based on.
func TestMeasurements(t *testing.T) {
	RecordMeasurement("compare", "Counted")
	RecordProviderRequest("default", true)
	RecordProviderRequest("default", true)
	RecordProviderRequest("default", false)
	compare(t, `
# HELP canaryrollout_measurements_total Measurements of analyses, by the kind of the metric and by how they ended.
# TYPE canaryrollout_measurements_total counter
canaryrollout_measurements_total{kind="compare",outcome="Counted"} 1
# HELP canaryrollout_metric_provider_requests_total Requests to metric providers, by whether they had an answer.
# TYPE canaryrollout_metric_provider_requests_total counter
canaryrollout_metric_provider_requests_total{outcome="Answered",provider="default"} 2
canaryrollout_metric_provider_requests_total{outcome="Failed",provider="default"} 1
`, prefix+"measurements_total", prefix+"metric_provider_requests_total")
}
