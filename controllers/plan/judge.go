// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// verdict is the rollout in one word, with the reason for conditions and the message for people.
type verdict struct {
	state           v1alpha1.State
	reason, message string
	// stalled says that it takes help.
	stalled bool
}

// judge sums the pass up.
func (p *pass) judge() verdict {
	v := p.judgePhase()
	v.message = cmp.Or(p.waiting, v.message)
	switch {
	case v.state == v1alpha1.StateTerminating:
	case p.urgent() != nil:
		v = verdict{v1alpha1.StateDegraded, p.urgent().Reason, p.urgent().Message, true}
	case p.deadlinePassed() && !v.stalled && v.state != v1alpha1.StateHealthy:
		v = verdict{v1alpha1.StateDegraded, v1alpha1.ReasonProgressDeadlineExceeded, fmt.Sprintf(
			"%s: %s", p.lateness(), v.message), true}
	}
	v.message = p.alarmed(v)
	return v
}

// urgent is what stalls a rollout at once. What is merely missing may be about to be created: that waits for the
// progress deadline.
func (p *pass) urgent() *Problem {
	if p.stalled != nil {
		return p.stalled
	}
	problem := p.problem()
	if problem == nil {
		return nil
	}
	switch problem.Reason {
	case v1alpha1.ReasonServiceNotFound, v1alpha1.ReasonRouteNotFound, v1alpha1.ReasonRouteKindNotServed:
		return nil
	default:
		return problem
	}
}

func (p *pass) judgePhase() verdict {
	switch {
	case p.isTerminating():
		return verdict{state: v1alpha1.StateTerminating, reason: v1alpha1.ReasonDeleting, message: "handing traffic back"}
	case p.paused != "":
		return verdict{state: v1alpha1.StatePaused, reason: p.paused}
	case p.mem.StableRevision == "":
		return verdict{state: v1alpha1.StateInitializing, reason: v1alpha1.ReasonInitializing,
			message: "first deploy of revision " + p.shown()}
	}
	switch p.mem.Phase {
	case v1alpha1.PhaseStepping:
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonProgressing,
			message: fmt.Sprintf("step %s of revision %s", p.stepNumber(), p.mem.CurrentRevision)}
	case v1alpha1.PhasePromoting:
		return verdict{state: v1alpha1.StatePromoting, reason: v1alpha1.ReasonPromoting,
			message: fmt.Sprintf("revision %s takes the place of %s", p.mem.CurrentRevision, p.mem.StableRevision)}
	case v1alpha1.PhaseRollingBack:
		return p.judgeReturn()
	default:
		return p.judgeRest()
	}
}

func (p *pass) judgeReturn() verdict {
	message := fmt.Sprintf("all traffic goes back to revision %s", p.mem.StableRevision)
	if p.isAborted() {
		return verdict{state: v1alpha1.StateAborting, reason: v1alpha1.ReasonAborting, message: message}
	}
	return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonRollingBack, message: message}
}

func (p *pass) judgeRest() verdict {
	switch {
	case p.isAborted():
		return verdict{v1alpha1.StateAborted, v1alpha1.ReasonAborted, fmt.Sprintf(
			"revision %s was aborted (%s), revision %s serves; apply another template, or: %s", p.mem.AbortedRevision,
			p.mem.AbortReason, p.mem.StableRevision, p.annotate(v1alpha1.RetryAnnotation+"=true")), true}
	case p.isHealthy():
		return verdict{state: v1alpha1.StateHealthy, reason: v1alpha1.ReasonHealthy,
			message: "revision " + p.mem.StableRevision + " serves all traffic"}
	case !p.stableIsAvailable():
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonPodsUnavailable, message: fmt.Sprintf(
			"waiting for %s of stable revision %s: %d so far%s", Quantity(p.spec.replicas, "available pod"), p.mem.StableRevision,
			p.replicaSet(p.mem.StableRevision).Available, p.trouble(p.mem.StableRevision))}
	default:
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonProgressing, message: p.restWait()}
	}
}

// restWait says what a rollout at rest waits for when its pods are available.
func (p *pass) restWait() string {
	if problem := p.problem(); problem != nil {
		return problem.Message
	}
	if p.stableAlarm() != "" {
		return fmt.Sprintf("waiting for ready endpoints in Service %s", p.in.Observed.Stable.Name)
	}
	if !p.servicesAtRest() {
		return fmt.Sprintf("waiting for both Services to select revision %s", p.mem.StableRevision)
	}
	if p.isVerified() && p.pending != "" {
		return p.pending
	}
	return p.trafficWait()
}

func (p *pass) stableIsAvailable() bool {
	return p.replicaSet(p.mem.StableRevision).Available >= p.spec.replicas
}

func (p *pass) servicesAtRest() bool {
	stable := p.mem.StableRevision
	return p.in.Observed.Stable.Revision == stable && p.in.Observed.Canary.Revision == stable
}

// isHealthy says that the template in spec is stable, available, and proven to get all the traffic.
func (p *pass) isHealthy() bool { return p.isWell() && p.pending == "" }

// isWell is isHealthy, but for a change of spec.traffic that is not complete yet.
func (p *pass) isWell() bool {
	return p.mem.Phase == v1alpha1.PhaseIdle && p.mem.StableRevision != "" && p.target() == p.mem.StableRevision &&
		p.stableIsAvailable() && p.stableAlarm() == "" && p.isVerified() && p.servicesAtRest() && p.problem() == nil
}

// trafficWait says what the proof of the weight waits for.
func (p *pass) trafficWait() string {
	return cmp.Or(p.trafficWaiting, fmt.Sprintf("waiting for weight %d to be verified", p.mem.Traffic.Weight))
}

func (p *pass) waitTraffic(message string) {
	if p.trafficWaiting == "" {
		p.trafficWaiting = message
	}
}
