// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// notificationsDropped is about a rollout. The others are about sinks, which rollouts share, so Forget does not delete them.
var (
	notifications = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "canaryrollout_notifications_total", Help: "Attempts to deliver a notification to a sink, by whether it was accepted.",
	}, []string{"sink", labelOutcome})
	sinkUp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "canaryrollout_notification_sink_up", Help: "0 while a notification waits that the sink did not accept, 1 otherwise.",
	}, []string{"sink"})
	notificationsDropped = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "canaryrollout_notifications_dropped_total", Help: "Notifications that were dropped because too many waited for a sink.",
	}, []string{labelNamespace, labelName})
)

func init() { metrics.Registry.MustRegister(notifications, sinkUp) }

// RecordNotification counts an attempt to deliver a notification.
func RecordNotification(sink string, isAccepted bool) {
	outcome := "Failed"
	if isAccepted {
		outcome = "Delivered"
	}
	notifications.WithLabelValues(sink, outcome).Inc()
}

// RecordSink sets whether a sink accepts what it gets.
func RecordSink(sink string, isUp bool) { sinkUp.WithLabelValues(sink).Set(oneIf(isUp)) }

// recordDropped counts what a pass has dropped. A rollout without notifications has no series.
func recordDropped(prev, next *v1alpha1.CanaryRollout) {
	memory := next.Status.Memory
	if memory == nil || memory.Notifications == nil {
		return
	}
	var before int64
	if prev.Status.Memory != nil && prev.Status.Memory.Notifications != nil {
		before = prev.Status.Memory.Notifications.Dropped
	}
	notificationsDropped.WithLabelValues(next.Namespace, next.Name).Add(float64(max(memory.Notifications.Dropped-before, 0)))
}
