// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Kind is what a forecast covers.
type Kind string

const (
	// FirstDeploy is the rollout of the first revision.
	FirstDeploy Kind = "FirstDeploy"
	// NextRelease is a release of another template, starting from a rollout at rest.
	NextRelease Kind = "NextRelease"
	// InFlight is the remainder of a running release.
	InFlight Kind = "InFlight"
)

// Forecast describes a whole release, stage by stage.
type Forecast struct {
	Kind Kind `json:"kind"`
	// Steps is the number of steps of the rollout.
	Steps  int     `json:"steps"`
	Stages []Stage `json:"stages"`
	// StableAfter is when the new revision becomes stable, DoneAfter when the pods that it replaces are gone. Both
	// count from the start of the forecast and exclude the time that pauses wait for a person.
	StableAfter metav1.Duration `json:"stableAfter"`
	DoneAfter   metav1.Duration `json:"doneAfter"`
	// Promotions is how often somebody has to promote.
	Promotions int `json:"promotions"`
	// PeakPods is the maximum number of pods at any time.
	PeakPods int64 `json:"peakPods"`
	// UnknownMetrics are the names of the CanaryMetrics of analysis steps that are not known: they are assumed to pass at once.
	UnknownMetrics []string `json:"unknownMetrics,omitempty"`
	// Stuck says what keeps the release from finishing; empty if it finishes.
	Stuck string `json:"stuck,omitempty"`
	// Warnings are the risks in the spec.
	Warnings []Warning `json:"warnings"`
}

// Stage is a step of the release, or a part of what follows the steps.
type Stage struct {
	// Step counts from 1; it is 0 outside the steps.
	Step int  `json:"step,omitempty"`
	Name Name `json:"name"`
	// What describes the stage in a few words.
	What string `json:"what"`
	// Pods are the desired pods at the end of the stage.
	Pods Pods `json:"pods"`
	// WeightBefore and Weight are the canary Service's share in percent, before the stage and at its end.
	WeightBefore int32 `json:"weightBefore"`
	Weight       int32 `json:"weight"`
	// Mirror is the percentage of requests mirrored to the new version at the end of the stage.
	Mirror int32 `json:"mirror,omitempty"`
	// HeaderRoutes are the names of the header routes in effect at the end of the stage.
	HeaderRoutes []string `json:"headerRoutes,omitempty"`
	// At is when the stage begins, excluding the time that pauses wait for a person; For is how long it takes.
	At  metav1.Duration `json:"at"`
	For metav1.Duration `json:"for"`
	// IsAnalysis is true for an analysis step. For is then the time in which its metrics can pass; it may last for all its duration.
	IsAnalysis bool `json:"isAnalysis,omitempty"`
	// UntilPromoted is true if the stage lasts until somebody promotes; For is zero then.
	UntilPromoted bool `json:"untilPromoted,omitempty"`
	// Promotions is the number of such stages before this one.
	Promotions int `json:"promotions,omitempty"`
}

// Pods counts pods by their role in the release.
type Pods struct {
	Stable int32 `json:"stable"`
	Canary int32 `json:"canary"`
	// Former counts the pods of revisions that are being replaced.
	Former int32 `json:"former,omitempty"`
}

// Options configures a forecast.
type Options struct {
	// FirstDeploy makes Release forecast the first deployment.
	FirstDeploy bool
	// PodReady is how long a pod takes to become ready, not counting minReadySeconds.
	PodReady time.Duration
	// Commands are given to the rollout at the beginning of Remaining. The current stage ends with them, so it is left out.
	Commands plan.Commands
	// Metric returns the CanaryMetric that a metric refers to; nil if it is not known.
	Metric func(*v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec
}

// epoch is when the simulation starts for a release that has not begun. Nothing depends on its value.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The revisions of a release that has not begun.
const (
	revisionBefore = "before"
	revisionNext   = "next"
)

// longAgo is how long before a release its starting state was reached, so that everything has settled.
const longAgo = 24 * time.Hour

// Release forecasts a release from its start: of another template for a rollout at rest, or the first deployment.
func Release(rollout *v1alpha1.CanaryRollout, options Options) Forecast {
	w := newWorld(rollout, options, epoch)
	kind := FirstDeploy
	if !options.FirstDeploy {
		kind = NextRelease
		w.template = revisionBefore
		newWalk(kind, w).run()
		w.now = w.now.Add(longAgo)
	}
	w.template = revisionNext
	return newWalk(kind, w).run()
}

// Remaining forecasts the rest of a release in flight, or of one that a command starts again, from its status.
func Remaining(rollout *v1alpha1.CanaryRollout, options Options, now time.Time) Forecast {
	w := liveWorld(rollout, options, now)
	w.commands = options.Commands
	return newWalk(InFlight, w).run()
}

// IsInFlight reports whether a release is in progress.
func IsInFlight(rollout *v1alpha1.CanaryRollout) bool {
	memory := rollout.Status.Memory
	return memory != nil && memory.Phase != "" && memory.Phase != v1alpha1.PhaseIdle
}
