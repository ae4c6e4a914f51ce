// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// verdict is the state of the rollout, with the reason for conditions and the message for people.
type verdict struct {
	state           v1alpha1.State
	reason, message string
	// stalled is set if the rollout needs help.
	stalled bool
}

// summarize returns the verdict of the pass. Alarms come before the message: the stable revision serves nothing, or a paused
// rollout has lost the verification of its weight.
func (s *summary) summarize() verdict {
	v := s.summarizePhase()
	v.message = cmp.Or(s.waiting, v.message)
	switch urgent := s.urgent(); {
	case v.state == v1alpha1.StateTerminating:
	case urgent != nil:
		v = verdict{v1alpha1.StateDegraded, urgent.Reason, urgent.Message, true}
	case !s.deadline().shut && !v.stalled && v.state != v1alpha1.StateHealthy:
		v = verdict{v1alpha1.StateDegraded, v1alpha1.ReasonProgressDeadlineExceeded, fmt.Sprintf(
			"%s: %s", s.lateness(), v.message), true}
	}
	alarms := []string{s.strategy.exposure(s.view).alarm}
	if v.state == v1alpha1.StatePaused && s.isManaging() && !s.isVerified() {
		alarms = append(alarms, s.trafficWait())
	}
	alarms = slices.DeleteFunc(alarms, func(alarm string) bool { return strings.Contains(v.message, alarm) })
	v.message = strings.Join(append(alarms, v.message), "; ")
	return v
}

// urgent returns the problem that stalls a rollout at once; nil if there is none. Missing objects may be about to be created:
// they stall it only after the progress deadline.
func (s *summary) urgent() *Problem {
	if s.stalled != nil {
		return s.stalled
	}
	problem := s.problem()
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

func (s *summary) summarizePhase() verdict {
	switch {
	case s.isTerminating():
		return verdict{state: v1alpha1.StateTerminating, reason: v1alpha1.ReasonDeleting, message: "handing traffic back"}
	case s.paused != "":
		return verdict{state: v1alpha1.StatePaused, reason: s.paused}
	case s.mem.StableRevision == "":
		return verdict{state: v1alpha1.StateInitializing, reason: v1alpha1.ReasonInitializing,
			message: "first deploy of revision " + s.shown()}
	}
	switch s.mem.Phase {
	case v1alpha1.PhaseStepping:
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonProgressing,
			message: fmt.Sprintf("step %s of revision %s", s.stepNumber(), s.mem.CurrentRevision)}
	case v1alpha1.PhasePromoting:
		return verdict{state: v1alpha1.StatePromoting, reason: v1alpha1.ReasonPromoting,
			message: fmt.Sprintf("revision %s replaces %s", s.mem.CurrentRevision, s.mem.StableRevision)}
	case v1alpha1.PhaseRollingBack:
		return s.summarizeRollback()
	default:
		return s.summarizeIdle()
	}
}

func (s *summary) summarizeRollback() verdict {
	message := fmt.Sprintf("all traffic goes back to revision %s", s.mem.StableRevision)
	if s.isAborted() {
		return verdict{state: v1alpha1.StateAborting, reason: v1alpha1.ReasonAborting, message: message}
	}
	return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonRollingBack, message: message}
}

func (s *summary) summarizeIdle() verdict {
	switch {
	case s.isAborted():
		return verdict{v1alpha1.StateAborted, v1alpha1.ReasonAborted, fmt.Sprintf(
			"revision %s was aborted (%s), revision %s serves; apply another template, or: %s", s.mem.AbortedRevision,
			s.mem.AbortReason, s.mem.StableRevision, s.annotate(v1alpha1.RetryAnnotation+"=true")), true}
	case s.isWell() && s.pending == "":
		return verdict{state: v1alpha1.StateHealthy, reason: v1alpha1.ReasonHealthy,
			message: "revision " + s.mem.StableRevision + " serves all traffic"}
	case !s.stableIsAvailable():
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonPodsUnavailable, message: fmt.Sprintf(
			"waiting for %s of stable revision %s: %d so far%s", Quantity(s.spec.replicas, "available pod"), s.mem.StableRevision,
			s.replicaSet(s.mem.StableRevision).Available, s.trouble(s.mem.StableRevision))}
	default:
		return verdict{state: v1alpha1.StateProgressing, reason: v1alpha1.ReasonProgressing, message: s.idleWait()}
	}
}

// idleWait returns what an idle rollout waits for when its pods are available.
func (s *summary) idleWait() string {
	if problem := s.problem(); problem != nil {
		return problem.Message
	}
	if wait := s.strategy.exposure(s.view).idleWait; wait != "" {
		return wait
	}
	if s.isVerified() && s.pending != "" {
		return s.pending
	}
	return s.trafficWait()
}

// isWell reports whether the template in spec is stable, available, and verified to get all the traffic. A change of
// spec.traffic may not be complete yet.
func (v view) isWell() bool {
	return v.mem.Phase == v1alpha1.PhaseIdle && v.mem.StableRevision != "" && v.target() == v.mem.StableRevision &&
		v.stableIsAvailable() && v.strategy.exposure(v).idleWait == "" && v.isVerified() && v.problem() == nil
}
