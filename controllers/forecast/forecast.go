// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Kind says what a forecast is about.
type Kind string

const (
	// FirstDeploy brings up the first revision.
	FirstDeploy Kind = "FirstDeploy"
	// NextRelease is a release to another template, from a rollout at rest.
	NextRelease Kind = "NextRelease"
	// InFlight is what is left of a release that runs.
	InFlight Kind = "InFlight"
)

// Forecast is a whole release, stage by stage.
type Forecast struct {
	Kind Kind `json:"kind"`
	// Steps is how many steps the rollout has.
	Steps  int     `json:"steps"`
	Stages []Stage `json:"stages"`
	// StableAfter is when the new revision becomes stable, DoneAfter when the pods that it replaces are gone. Both
	// count from the beginning, without the time that pauses wait for a person.
	StableAfter metav1.Duration `json:"stableAfter"`
	DoneAfter   metav1.Duration `json:"doneAfter"`
	// Promotions is how often somebody has to promote.
	Promotions int `json:"promotions"`
	// PeakPods is the greatest number of pods at one time.
	PeakPods int64 `json:"peakPods"`
	// Stuck says what keeps the release from ending; empty if it ends.
	Stuck string `json:"stuck,omitempty"`
	// Warnings are the risks in the spec.
	Warnings []Warning `json:"warnings"`
}

// Stage is a step of the release, or a part of what follows the steps.
type Stage struct {
	// Step counts from 1; 0 outside the steps.
	Step int  `json:"step,omitempty"`
	Name Name `json:"name"`
	// What is the stage in a few words.
	What string `json:"what"`
	// Pods are those wanted at its end.
	Pods Pods `json:"pods"`
	// WeightBefore and Weight are the canary Service's share in percent before the stage and at its end.
	WeightBefore int32 `json:"weightBefore"`
	Weight       int32 `json:"weight"`
	// Mirror is the percentage of requests that are copied to the new version at its end.
	Mirror int32 `json:"mirror,omitempty"`
	// HeaderRoutes are the names of those in force at its end.
	HeaderRoutes []string `json:"headerRoutes,omitempty"`
	// At is when it begins, without the time that pauses wait for a person; For is how long it takes.
	At  metav1.Duration `json:"at"`
	For metav1.Duration `json:"for"`
	// UntilPromoted says that it lasts until somebody promotes; For is then nothing.
	UntilPromoted bool `json:"untilPromoted,omitempty"`
	// Promotions is how many such stages come before it.
	Promotions int `json:"promotions,omitempty"`
}

// Pods are counted by what they are to the release.
type Pods struct {
	Stable int32 `json:"stable"`
	Canary int32 `json:"canary"`
	// Former are those of revisions on their way out.
	Former int32 `json:"former,omitempty"`
}

// Options of a forecast.
type Options struct {
	// FirstDeploy lets a Release be the first one.
	FirstDeploy bool
	// PodReady is how long a pod takes to become ready; minReadySeconds come on top.
	PodReady time.Duration
}

// epoch is when a release of a rollout that does not exist begins; nothing depends on it.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The revisions of a release that has not begun.
const (
	revisionBefore = "before"
	revisionNext   = "next"
)

// longAgo is when what a release starts from has come about: all of it has settled.
const longAgo = 24 * time.Hour

// Release is a release from its beginning: that of a rollout at rest to another template, or the first one.
func Release(rollout *v1alpha1.CanaryRollout, options Options) Forecast {
	w := newWorld(rollout, options.PodReady, epoch)
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

// Remaining is what is left of a release in flight, as its status says.
func Remaining(rollout *v1alpha1.CanaryRollout, options Options, now time.Time) Forecast {
	return newWalk(InFlight, liveWorld(rollout, options.PodReady, now)).run()
}

// IsInFlight says whether something is left of a release.
func IsInFlight(rollout *v1alpha1.CanaryRollout) bool {
	memory := rollout.Status.Memory
	return memory != nil && memory.Phase != "" && memory.Phase != v1alpha1.PhaseResting
}
