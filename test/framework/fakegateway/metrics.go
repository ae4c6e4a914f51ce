// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// metrics are those of Traefik about Services, so that queries for Traefik work.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

func newMetrics() *metrics {
	labels := []string{"service", "code", "method", "protocol"}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "traefik_service_requests_total", Help: "Requests that a Service was chosen for.",
		}, labels),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "traefik_service_request_duration_seconds", Help: "How long these requests took.",
			Buckets: []float64{0.1, 0.3, 1.2, 5},
		}, labels),
	}
	m.registry.MustRegister(m.requests, m.durations)
	return m
}

// serviceLabel is the name that Traefik gives to a backend.
func serviceLabel(namespace string, ref gatewayv1.BackendObjectReference) string {
	return fmt.Sprintf("%s-%s-http-%d@kubernetesgateway", namespace, ref.Name, ptr.Deref(ref.Port, 0))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// measure counts a request for a Service when it has been answered.
func (m *metrics) measure(w http.ResponseWriter, r *http.Request, service string, next http.Handler) {
	began, answered := time.Now(), &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() { // also if the answer is cut off, by a panic
		labels := []string{service, strconv.Itoa(answered.status), r.Method, "http"}
		m.requests.WithLabelValues(labels...).Inc()
		m.durations.WithLabelValues(labels...).Observe(time.Since(began).Seconds())
	}()
	next.ServeHTTP(answered, r)
}

// A statusRecorder keeps the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *statusRecorder) WriteHeader(status int) {
	if status >= http.StatusOK { // not an informational one before the answer
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap serves [http.ResponseController].
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
