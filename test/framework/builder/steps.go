// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package builder

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Weight returns a setWeight step.
func Weight(percent int32) v1alpha1.Step { return v1alpha1.Step{SetWeight: &percent} }

// Scale returns a setCanaryScale step to a number of pods.
func Scale(replicas int32) v1alpha1.Step {
	return v1alpha1.Step{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: &replicas}}
}

// Gate returns an analysis step.
func Gate(duration time.Duration, metrics ...v1alpha1.Metric) v1alpha1.Step {
	return v1alpha1.Step{Analysis: &v1alpha1.AnalysisStep{Duration: metav1.Duration{Duration: duration}, Metrics: metrics}}
}

// Hold returns a pause until promoted.
func Hold() v1alpha1.Step { return v1alpha1.Step{Pause: &v1alpha1.Pause{}} }

// HoldAtMost returns a pause until promoted, with a timeout.
func HoldAtMost(d time.Duration, onTimeout v1alpha1.TimeoutAction) v1alpha1.Step {
	return v1alpha1.Step{Pause: &v1alpha1.Pause{Timeout: &metav1.Duration{Duration: d}, OnTimeout: onTimeout}}
}

// Pause returns a timed pause.
func Pause(d time.Duration) v1alpha1.Step {
	return v1alpha1.Step{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: d}}}
}

// Mirror returns a setMirrorRoute step.
func Mirror(percent int32) v1alpha1.Step {
	return v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: &percent}}
}

// HeaderRoute returns a setHeaderRoute step with one header to match.
func HeaderRoute(name, header, value string) v1alpha1.Step {
	return v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: name, Matches: []v1alpha1.RequestMatch{{
		Headers: []gatewayv1.HTTPHeaderMatch{{Name: gatewayv1.HTTPHeaderName(header), Value: value}},
	}}}}
}
