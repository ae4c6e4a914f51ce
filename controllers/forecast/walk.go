// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// maxPasses stops a walk that would not end by itself. A release of 64 steps takes less than a tenth of it.
const maxPasses = 10_000

// walk simulates a release and records its stages.
type walk struct {
	*world
	forecast Forecast
	begun    time.Time
	// position is that of the last stage, which stays open until the next one begins.
	position position
}

func newWalk(kind Kind, w *world) *walk {
	return &walk{world: w, begun: w.now, forecast: Forecast{Kind: kind, Steps: len(w.spec.Steps)}}
}

func (w *walk) run() Forecast {
	if w.commands == (plan.Commands{}) {
		w.open(w.status.Memory, weightOf(w.status.Memory))
	} else {
		w.position, _ = w.positionOf(w.status.Memory)
	}
	for range maxPasses {
		prior := w.status
		p := w.pass()
		w.follow(prior.Memory)
		if w.isInconclusive() {
			break
		}
		if len(p.Actions) > 0 || !equality.Semantic.DeepEqual(prior, p.Status) || w.promote() {
			continue
		}
		if !w.tick(p.WakeAt) {
			break
		}
	}
	w.finish()
	return w.forecast
}

// isInconclusive reports whether an analysis step waits for a person, because its time is too short for its metrics.
func (w *walk) isInconclusive() bool {
	paused := meta.FindStatusCondition(w.status.Conditions, v1alpha1.ConditionPaused)
	return paused != nil && paused.Reason == v1alpha1.ReasonInconclusive
}

// promote ends a pause that waits for a person. It reports whether there was one.
func (w *walk) promote() bool {
	memory := w.status.Memory
	if memory == nil || w.status.Pause == nil || memory.Phase != v1alpha1.PhaseStepping || !waitsForPerson(w.spec.Steps, memory.StepIndex) {
		return false
	}
	w.commands.Promote = ptr.To("true")
	return true
}

func waitsForPerson(steps []v1alpha1.Step, index int32) bool {
	return int(index) < len(steps) && steps[index].Pause != nil && steps[index].Pause.Duration == nil
}

// follow records the effect of a pass. Its actions belong to the stage that was open before; the memory that it wrote
// may open the next one.
func (w *walk) follow(prior *v1alpha1.Memory) {
	w.forecast.PeakPods = max(w.forecast.PeakPods, w.pods())
	w.note(prior)
	w.open(w.status.Memory, weightOf(prior))
}

func weightOf(memory *v1alpha1.Memory) int32 {
	if memory == nil {
		return 0
	}
	return memory.Traffic.Weight
}

// open begins a new stage if the position of the memory has changed.
func (w *walk) open(memory *v1alpha1.Memory, weightBefore int32) {
	at, found := w.positionOf(memory)
	if !found || at == w.position {
		return
	}
	w.close()
	w.position = at
	stage := Stage{
		Step: at.step, Name: at.name, What: w.what(at), WeightBefore: weightBefore,
		At: w.elapsed(), Promotions: w.forecast.Promotions,
	}
	stage.IsAnalysis = at.name == NameStep && w.spec.Steps[at.step-1].Analysis != nil
	if at.name == NameStep && waitsForPerson(w.spec.Steps, memory.StepIndex) {
		stage.UntilPromoted = true
		w.forecast.Promotions++
	}
	if at.name == NameCommit {
		w.forecast.StableAfter = stage.At
	}
	w.forecast.Stages = append(w.forecast.Stages, stage)
	w.note(memory)
}

// note updates the open stage.
func (w *walk) note(memory *v1alpha1.Memory) {
	if len(w.forecast.Stages) == 0 || memory == nil {
		return
	}
	stage := &w.forecast.Stages[len(w.forecast.Stages)-1]
	stage.Weight, stage.Mirror, stage.HeaderRoutes, stage.Pods = memory.Traffic.Weight, memory.Traffic.MirrorPercent, nil, Pods{}
	if memory.Traffic.HeaderRoutesActive {
		for _, headerRoute := range memory.StepTargets.HeaderRoutes {
			stage.HeaderRoutes = append(stage.HeaderRoutes, headerRoute.Name)
		}
	}
	for _, set := range w.sets {
		switch set.revision {
		case memory.StableRevision:
			stage.Pods.Stable += set.desired
		case memory.CurrentRevision:
			stage.Pods.Canary += set.desired
		default:
			stage.Pods.Former += set.desired
		}
	}
}

func (w *walk) pods() (sum int64) {
	for _, set := range w.sets {
		sum += int64(set.desired)
	}
	return sum
}

func (w *walk) close() {
	if n := len(w.forecast.Stages); n > 0 {
		stage := &w.forecast.Stages[n-1]
		stage.For = metav1.Duration{Duration: w.elapsed().Duration - stage.At.Duration}
	}
}

func (w *walk) elapsed() metav1.Duration { return metav1.Duration{Duration: w.now.Sub(w.begun)} }

func (w *walk) finish() {
	w.close()
	w.forecast.DoneAfter = w.elapsed()
	w.forecast.UnknownMetrics = slices.Compact(slices.Sorted(slices.Values(w.metrics.unknown)))
	if memory := w.status.Memory; memory == nil || memory.Phase != v1alpha1.PhaseIdle {
		w.forecast.Stuck = w.status.Message
	}
	w.forecast.Warnings = warningsOf(w.world, w.rollout.Spec.Paused, w.forecast.Stages)
}
