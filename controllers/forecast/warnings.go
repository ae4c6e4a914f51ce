// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Warning is a risk that the API server accepts, because it may be intended.
type Warning struct {
	// ID is stable: tools may rely on it.
	ID string `json:"id"`
	// Step is the step that the warning is about, counted from 1; 0 if it is about none.
	Step int `json:"step,omitempty"`
	// Path is the field to change.
	Path string `json:"path"`
	// Message explains the risk and what to do.
	Message string `json:"message"`
}

// The IDs of warnings.
const (
	WarnPaused            = "Paused"
	WarnNoReplicas        = "NoReplicas"
	WarnOneReplica        = "OneReplica"
	WarnNoPauseBefore50   = "NoPauseBefore50"
	WarnFirstWeightOver50 = "FirstWeightOver50"
	WarnWeightGoesDown    = "WeightGoesDown"
	WarnStepsAfter100     = "StepsAfter100"
	WarnPinnedBelowShare  = "PinnedBelowShare"
	WarnPodsFarFromWeight = "PodsFarFromWeight"
	WarnDeadlineTooShort  = "DeadlineTooShort"
	WarnNoSettling        = "NoSettling"
	WarnNoScaleDownDelay  = "NoScaleDownDelay"
)

const (
	half = 50
	full = 100
	// shortestLook is the minimum total pause before a new version gets half of the requests. With less, neither an
	// alert nor a person could stop it in time.
	shortestLook = 10 * time.Second
	// farFromWeight is by how many percentage points the share of canary pods may exceed the weight.
	farFromWeight = 30
)

// advisor looks for risks in a spec.
type advisor struct {
	*world
	stages   []Stage
	replicas int32
	warnings []Warning
}

func warningsOf(w *world, paused bool, stages []Stage) []Warning {
	a := &advisor{world: w, stages: stages, replicas: ptr.Deref(w.spec.Replicas, v1alpha1.DefaultReplicas), warnings: []Warning{}}
	if paused {
		a.warn(WarnPaused, 0, "spec.paused", "the release waits until spec.paused is set to false: all times start then")
	}
	if a.replicas == 0 {
		a.warn(WarnNoReplicas, 0, "spec.replicas", "without replicas, a new template becomes stable immediately and the steps are skipped: raise replicas")
	} else {
		a.adviseSteps()
	}
	a.adviseTimes()
	return a.warnings
}

func (a *advisor) warn(id string, step int, path, format string, args ...any) {
	a.warnings = append(a.warnings, Warning{ID: id, Step: step, Path: path, Message: fmt.Sprintf(format, args...)})
}

// warnStep warns only about the first step for each ID: a user who fixes it checks the other steps, too.
func (a *advisor) warnStep(id string, step int, field, format string, args ...any) {
	if slices.ContainsFunc(a.warnings, func(known Warning) bool { return known.ID == id }) {
		return
	}
	path := fmt.Sprintf("spec.steps[%d].%s", step-1, field)
	a.warn(id, step, path, "step %d/%d "+format, append([]any{step, len(a.spec.Steps)}, args...)...)
}

func (a *advisor) adviseSteps() {
	if a.replicas == 1 && hasSplit(a.spec.Steps) {
		a.warn(WarnOneReplica, 0, "spec.replicas",
			"with one replica, a canary of any weight is one pod, and if one of the two pods fails, nothing serves its share: set replicas to 2 or more")
	}
	a.adviseLook()
	a.adviseOrder()
	a.advisePods()
}

// hasSplit reports whether the steps ever split the traffic.
func hasSplit(steps []v1alpha1.Step) bool {
	for _, step := range steps {
		if weight := ptr.Deref(step.SetWeight, 0); weight > 0 && weight < full {
			return true
		}
	}
	return false
}

// adviseLook adds up the time available to observe the new version before it gets half of the traffic. A pause that
// waits for a person and an analysis step are always enough.
func (a *advisor) adviseLook() {
	look, hasTraffic := time.Duration(0), false
	for i, step := range a.spec.Steps {
		switch weight := ptr.Deref(step.SetWeight, 0); {
		case weight >= half:
			a.adviseJump(i+1, weight, hasWeight(a.spec.Steps[:i]))
			a.adviseShortLook(look, fmt.Sprintf("gets %d %% of the requests at step %d/%d", weight, i+1, len(a.spec.Steps)))
			return
		case waitsForPerson(a.spec.Steps, int32(i)):
			look += shortestLook
		case step.Pause != nil && hasTraffic:
			look += step.Pause.Duration.Duration
		case step.Analysis != nil && hasTraffic:
			look += shortestLook
		case step.SetHeaderRoute != nil || step.SetMirrorRoute != nil || weight > 0:
			hasTraffic = true
		}
	}
	a.adviseShortLook(look, "gets all requests when the steps are done")
}

func hasWeight(steps []v1alpha1.Step) bool {
	for _, step := range steps {
		if ptr.Deref(step.SetWeight, 0) > 0 {
			return true
		}
	}
	return false
}

func (a *advisor) adviseJump(step int, weight int32, hasWeight bool) {
	if !hasWeight && weight > half {
		a.warnStep(WarnFirstWeightOver50, step, "setWeight",
			"is the first that sends requests to the new version, and sends it %d %% of them: begin with a smaller weight", weight)
	}
}

func (a *advisor) adviseShortLook(look time.Duration, when string) {
	if look < shortestLook {
		a.warn(WarnNoPauseBefore50, 0, "spec.steps",
			"the new version %s, and until then pauses leave %s to observe it: put a smaller setWeight and a pause of %s or more before that",
			when, plan.Duration(look), plan.Duration(shortestLook))
	}
}

// adviseOrder warns about decreasing weights, and about steps that come too late to matter.
func (a *advisor) adviseOrder() {
	last := int32(0)
	for i, step := range a.spec.Steps {
		if step.SetWeight != nil && *step.SetWeight < last {
			a.warnStep(WarnWeightGoesDown, i+1, "setWeight",
				"lowers the weight from %d to %d: put the weights in ascending order, and use abort to return traffic", last, *step.SetWeight)
		}
		if last == full && step.Pause == nil && step.Analysis == nil {
			a.warnStep(WarnStepsAfter100, i+1, string(step.Kind()),
				"comes after weight 100, when only the new version serves: remove it, or put it before setWeight 100")
		}
		last = ptr.Deref(step.SetWeight, last)
	}
}

// advisePods compares the number of canary pods with the weight, stage by stage.
func (a *advisor) advisePods() {
	for _, stage := range a.stages {
		if stage.Name != NameStep || a.spec.Steps[stage.Step-1].SetWeight == nil || stage.Weight == 0 {
			continue
		}
		replicas, weight := int64(a.replicas), int64(stage.Weight)
		need := max(1, (replicas*weight+full-1)/full)
		switch percent := full * need / replicas; {
		case int64(stage.Pods.Canary) < need:
			a.warnStep(WarnPinnedBelowShare, stage.Step, "setWeight",
				"sends %d %% of the requests to %s, where its share is %s: remove mode Exact from setCanaryScale, or set %s there",
				weight, pods(int64(stage.Pods.Canary)), pods(need), pods(need))
		case replicas > 1 && weight < half && percent-weight >= farFromWeight:
			a.warnStep(WarnPodsFarFromWeight, stage.Step, "setWeight",
				"has %s of %d for %d %% of the requests, so the new version is not tested under its real load: raise replicas, or begin with a larger weight",
				pods(need), replicas, weight)
		}
	}
}

func pods(count int64) string {
	if count == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", count)
}

func (a *advisor) adviseTimes() {
	deadline := time.Duration(ptr.Deref(a.spec.ProgressDeadlineSeconds, v1alpha1.DefaultProgressDeadlineSeconds)) * time.Second
	if takes := a.podReady + time.Duration(a.spec.MinReadySeconds)*time.Second; takes >= deadline {
		a.warn(WarnDeadlineTooShort, 0, "spec.progressDeadlineSeconds",
			"a pod becomes available after %s, and after %s without progress the rollout is Degraded: raise progressDeadlineSeconds",
			plan.Duration(takes), plan.Duration(deadline))
	}
	if ptr.Deref(a.spec.Traffic.SettleSeconds, v1alpha1.DefaultSettleSeconds) == 0 {
		a.warn(WarnNoSettling, 0, "spec.traffic.settleSeconds",
			"gateways lag behind what they report, and 0 leaves them no time, so requests may be lost: remove settleSeconds to wait %d s", v1alpha1.DefaultSettleSeconds)
	}
	if ptr.Deref(a.spec.ScaleDownDelaySeconds, v1alpha1.DefaultScaleDownDelaySeconds) == 0 {
		a.warn(WarnNoScaleDownDelay, 0, "spec.scaleDownDelaySeconds",
			"former pods are deleted as soon as the traffic has left, so long requests may be cut off and there is no quick way back: remove scaleDownDelaySeconds to keep them for %d s", v1alpha1.DefaultScaleDownDelaySeconds)
	}
}
