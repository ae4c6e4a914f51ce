// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// step makes the next move of a release at its steps.
func (t *transition) step() {
	target, blocked, size := t.target(), t.blocked(), t.canarySize()
	failOver, removeRefused := t.strategy.failOver(t.view), t.strategy.removeRefused(t.view)
	prepare, hasPods := t.strategy.prepare(t.view, size)
	switch {
	case target != "" && target != t.mem.CurrentRevision:
		t.supersede(target)
	case failOver != nil:
		failOver(t)
	case t.mem.StepsHash != t.in.Observed.StepsHash:
		t.startOver()
	case removeRefused != nil:
		removeRefused(t)
	case blocked.shut:
		t.await(blocked)
	case t.spec.replicas == 0:
		t.wait("spec.replicas is 0: the steps wait until it is raised")
	case int(t.mem.StepIndex) >= len(t.in.Spec.Steps):
		t.event(EventPromoting, "the steps are done: promoting revision %s", t.mem.CurrentRevision)
		t.setPhase(v1alpha1.PhasePromoting)
	case prepare != nil:
		prepare(t)
	default:
		t.await(hasPods)
		t.follow()
	}
}

// follow moves the traffic towards what the steps ask for. If nothing is left to do, it ends the current step.
func (t *transition) follow() {
	step := &t.in.Spec.Steps[t.mem.StepIndex]
	kind := kindOf(step)
	switch {
	case !t.followsSteps():
		t.shiftTraffic()
	case !t.await(t.addHeaderRoute(step)):
	case !t.await(kind.done(t, step)):
	case kind.abortReason(t, step) != "":
		t.abort(kind.abortReason(t, step), "")
	default:
		t.nextStep()
		if t.await(t.blocked()) && !t.followsSteps() {
			t.shiftTraffic()
		}
	}
}

// startOver returns to the first step after the steps were edited. Weight and scale stay as they are. A mirror and header
// routes are removed unless the new steps have them, too: the steps may have been edited because these could not be written.
func (t *transition) startOver() {
	t.event(EventStepsChanged, "the steps were edited: revision %s starts over at step 1, weight and scale are kept", t.mem.CurrentRevision)
	targets := &t.mem.StepTargets
	if t.mem.StepRefusal != "" { // what was refused comes back with its own step, if the new steps have it
		t.mem.StepRefusal, targets.MirrorPercent = "", 0
		t.setHeaderRoutes(nil)
	}
	if !slices.ContainsFunc(t.in.Spec.Steps, func(step v1alpha1.Step) bool {
		return step.SetMirrorRoute != nil && mirrorPercent(&step) == targets.MirrorPercent
	}) {
		targets.MirrorPercent = 0
	}
	t.setHeaderRoutes(slices.DeleteFunc(slices.Clone(targets.HeaderRoutes), func(known v1alpha1.SetHeaderRoute) bool {
		return !slices.ContainsFunc(t.in.Spec.Steps, func(step v1alpha1.Step) bool {
			return step.SetHeaderRoute != nil && equality.Semantic.DeepEqual(*step.SetHeaderRoute, known)
		})
	}))
	t.stepHistory = nil
	t.mem.Analysis.Attempt++ // what was measured at the former steps does not count for the same step again
	t.enterStep(0)
}

// nextStep ends the current step and begins the next one.
func (t *transition) nextStep() {
	if t.isNotable() {
		step := &t.in.Spec.Steps[t.mem.StepIndex]
		kind := kindOf(step)
		short, _ := kind.describe(step)
		how := "is done"
		if why := kind.undecided(t); why != "" {
			how = "ends without a verdict: " + why
		}
		t.event(EventStepCompleted, "step %s (%s) of revision %s %s", t.stepNumber(), short, t.mem.CurrentRevision, how)
	}
	t.enterStep(int(t.mem.StepIndex) + 1)
}

// notableStep is how long a step lasts that has an Event of its own.
const notableStep = 10 * time.Second

// isNotable reports whether the end of the current step has an Event: if it or the next step is meant to last, or if it has lasted
// long. Of steps that follow each other within seconds, only the last one before the release waits is worth an Event, which stands
// for them all.
func (t *transition) isNotable() bool {
	steps, index := t.in.Spec.Steps, int(t.mem.StepIndex)
	isLast := index+1 == len(steps)
	return isMeantToLast(&steps[index]) || !isLast && isMeantToLast(&steps[index+1]) || !t.timeLeft(notableStep).shut
}

func isMeantToLast(step *v1alpha1.Step) bool { return step.Pause != nil || step.Analysis != nil }

// enterStep makes a step the current one and sets the targets that it asks for.
func (t *transition) enterStep(index int) {
	t.mem.StepIndex, t.mem.TransitionedAt = int32(index), t.now()
	t.mem.PauseClockStoppedAt, t.mem.PauseClockStoppedMilliseconds = nil, 0
	t.mem.Analysis.Step = nil
	t.mem.StepsHash = t.in.Observed.StepsHash
	t.stepEnded()
	if index < len(t.in.Spec.Steps) {
		t.stepBegan(index)
		step := &t.in.Spec.Steps[index]
		kindOf(step).enter(t, step)
	}
}

// currentStep returns the current step; nil if there is none, or if the steps were edited and start over.
func (v view) currentStep() *v1alpha1.Step {
	if v.mem.Phase != v1alpha1.PhaseStepping || int(v.mem.StepIndex) >= len(v.in.Spec.Steps) ||
		v.mem.StepsHash != v.in.Observed.StepsHash {
		return nil
	}
	return &v.in.Spec.Steps[v.mem.StepIndex]
}

func (v view) stepNumber() string {
	total := len(v.in.Spec.Steps)
	return fmt.Sprintf("%d/%d", min(int(v.mem.StepIndex)+1, total), total)
}
