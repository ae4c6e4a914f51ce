// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// pauseKind is the kind of step that pauses a release once the canary serves what the steps ask for.
type pauseKind struct{ hasNoVerdict }

func (k pauseKind) enter(t *transition, step *v1alpha1.Step) {
	if step.Pause.Duration == nil {
		t.event(EventPaused, "step %s: paused until promoted: %s", t.stepNumber(), t.annotate(v1alpha1.PromoteAnnotation+"=true"))
	}
	if t.spec.replicas > 0 { // without pods there is nothing to pause: the release is promoted at once, or waits for a size
		t.await(k.done(t, step))
	}
}

// done is open when a pause has ended by itself.
func (pauseKind) done(t *transition, step *v1alpha1.Step) gate {
	if serves := t.strategy.isServing(t.view); serves.shut {
		return serves
	}
	if verified := t.verified(); verified.shut {
		return verified
	}
	promote := t.annotate(v1alpha1.PromoteAnnotation + "=true")
	switch pause := step.Pause; {
	case pause.Duration != nil:
		return t.pauseEnds(pause.Duration.Duration, "paused until %s; to continue now: "+promote)
	case pause.Timeout != nil:
		return t.pauseEnds(pause.Timeout.Duration, "paused until promoted ("+promote+"), or until %s: then "+string(pause.OnTimeout))
	default:
		g := waitFor("paused until promoted: %s", promote)
		g.paused = v1alpha1.ReasonPauseStep
		return g
	}
}

func (pauseKind) abortReason(_ *transition, step *v1alpha1.Step) string {
	if step.Pause.Duration == nil && step.Pause.Timeout != nil && step.Pause.OnTimeout == v1alpha1.TimeoutAbort {
		return "not promoted within " + step.Pause.Timeout.Duration.String()
	}
	return ""
}

func (pauseKind) describe(step *v1alpha1.Step) (short, details string) {
	switch pause := step.Pause; {
	case pause.Duration != nil:
		return "pause " + Duration(pause.Duration.Duration), ""
	case pause.Timeout != nil:
		return fmt.Sprintf("pause, %s after %s", pause.OnTimeout, Duration(pause.Timeout.Duration)), ""
	default:
		return "pause", "until promoted"
	}
}

func (v view) pauseEnds(after time.Duration, message string) gate {
	g := v.timeLeft(after)
	if g.shut {
		g.paused, g.message = v1alpha1.ReasonPauseStep, fmt.Sprintf(message, clock(g.opensAt))
	}
	return g
}

// timeLeft is open when the current step has lasted that long, without the time for which its clock was stopped.
func (v view) timeLeft(after time.Duration) gate {
	start := v.in.Now
	if v.mem.TransitionedAt != nil {
		start = v.mem.TransitionedAt.Time
	}
	return v.until(start.Add(after + time.Duration(v.mem.PauseClockStoppedMilliseconds)*time.Millisecond))
}

// pauseStep returns the pause of the current step; nil if the step is not a pause.
func (v view) pauseStep() *v1alpha1.Pause {
	if step := v.currentStep(); step != nil {
		return step.Pause
	}
	return nil
}

// hasClock reports whether the current step ends by its clock.
func (v view) hasClock() bool {
	pause := v.pauseStep()
	return v.analysisStep() != nil || pause != nil && (pause.Duration != nil || pause.Timeout != nil)
}

// keepPauseClock stops the clock of a step while the canary does not serve what the steps ask for: without endpoints, or
// without its weight, the canary is not tested. Nor is it while somebody has to fix a metric.
func (t *transition) keepPauseClock() {
	mem := t.mem
	if !t.hasClock() {
		return
	}
	if mem.TransitionedAt == nil {
		mem.TransitionedAt = t.now()
	}
	isMeasurable := t.analysisStep() == nil || t.analysisProblem() == nil
	switch isInPlace := !t.strategy.isServing(t.view).shut && t.followsSteps() && t.isVerified() && isMeasurable; {
	case isInPlace && mem.PauseClockStoppedAt != nil:
		mem.PauseClockStoppedMilliseconds += t.in.Now.Sub(mem.PauseClockStoppedAt.Time).Milliseconds()
		mem.PauseClockStoppedAt = nil
	case !isInPlace && mem.PauseClockStoppedAt == nil:
		mem.PauseClockStoppedAt = t.now()
	}
}
