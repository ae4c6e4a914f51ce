// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func (p *pass) enterPause(pause *v1alpha1.Pause) {
	if pause.Duration == nil {
		p.event(EventPaused, "step %s: paused until promoted: %s", p.stepNumber(), p.annotate(v1alpha1.PromoteAnnotation+"=true"))
	}
	if p.isServing() {
		p.pauseDone(pause)
	}
}

// pauseDone says whether a pause has ended by the clock.
func (p *pass) pauseDone(pause *v1alpha1.Pause) bool {
	promote := p.annotate(v1alpha1.PromoteAnnotation + "=true")
	switch {
	case pause.Duration != nil:
		return p.pauseEnds(pause.Duration.Duration, "paused until %s; to go on now: "+promote)
	case pause.Timeout == nil:
		p.paused = v1alpha1.ReasonPauseStep
		p.wait("paused until promoted: %s", promote)
		return false
	case !p.pauseEnds(pause.Timeout.Duration, "paused until promoted ("+promote+"), or until %s: then "+string(pause.OnTimeout)):
		return false
	case pause.OnTimeout == v1alpha1.TimeoutAbort:
		p.abort("nobody promoted it within " + pause.Timeout.Duration.String())
		return false
	default:
		return true
	}
}

func (p *pass) pauseEnds(after time.Duration, message string) bool {
	if p.mem.TransitionedAt == nil {
		p.mem.TransitionedAt = p.now()
	}
	end := p.mem.TransitionedAt.Add(after + time.Duration(p.mem.PauseClockStoppedMilliseconds)*time.Millisecond)
	if p.reached(end) {
		return true
	}
	p.paused, p.pausedUntil = v1alpha1.ReasonPauseStep, end
	p.wait(message, clock(end))
	return false
}

// keepPauseClock stops the clock of a pause while the canary does not serve what the steps ask for: a pause in which the
// canary had no endpoints, or not its weight, tested nothing.
func (p *pass) keepPauseClock() {
	mem, pause := &p.mem, p.pauseStep()
	if pause == nil || pause.Duration == nil && pause.Timeout == nil {
		return
	}
	switch isInPlace := p.isInPlace(); {
	case isInPlace && mem.PauseClockStoppedAt != nil:
		mem.PauseClockStoppedMilliseconds += p.in.Now.Sub(mem.PauseClockStoppedAt.Time).Milliseconds()
		mem.PauseClockStoppedAt = nil
	case !isInPlace && mem.PauseClockStoppedAt == nil:
		mem.PauseClockStoppedAt = p.now()
	}
}

// isInPlace says that the canary has a ready endpoint, if the steps want pods of it, and is proven to get what the steps
// ask for.
func (p *pass) isInPlace() bool {
	return !p.lacksCanary() && p.followsSteps() && p.isVerified()
}

// lacksCanary says that the steps want pods of the canary, and that its Service has no ready endpoint of it.
func (p *pass) lacksCanary() bool {
	current := p.mem.CurrentRevision
	return p.canarySize() > 0 && (p.mem.CanaryService.Revision != current || p.isDown(p.in.Observed.Canary, current))
}

// isServing is isInPlace for a pause that has to wait for it, once the target follows the steps.
func (p *pass) isServing() bool {
	if p.lacksCanary() {
		p.wait("waiting for a ready endpoint of revision %s in Service %s", p.mem.CurrentRevision, p.in.Observed.Canary.Name)
		return false
	}
	return p.isProven()
}
