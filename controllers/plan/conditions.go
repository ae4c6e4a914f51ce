// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// conditions returns the conditions. Those that do not change keep their transition times.
func (s *summary) conditions() []metav1.Condition {
	conditions := make([]metav1.Condition, 0, 8)
	for i := range s.in.Prior.Conditions {
		conditions = append(conditions, *s.in.Prior.Conditions[i].DeepCopy())
	}
	current := []metav1.Condition{
		s.readyCondition(), s.reconcilingCondition(), s.stalledCondition(),
		s.availableCondition(), s.progressingCondition(), s.pausedCondition(), s.trafficCondition(),
	}
	if s.hasAnalysis() {
		current = append(current, s.measuredCondition())
	} else {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionMeasured)
	}
	if len(s.in.Spec.Notifications) > 0 {
		current = append(current, s.notifiedCondition())
	} else {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionNotified)
	}
	for _, condition := range current {
		condition.ObservedGeneration = s.in.Generation
		condition.LastTransitionTime = metav1.Time{Time: s.in.Now}.Rfc3339Copy()
		s.problemEvent(condition)
		meta.SetStatusCondition(&conditions, condition)
	}
	return conditions
}

func condition(kind string, status bool, reason, message string) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
	if status {
		c.Status = metav1.ConditionTrue
	}
	return c
}

func (s *summary) readyCondition() metav1.Condition {
	return condition(v1alpha1.ConditionReady, s.verdict.state == v1alpha1.StateHealthy, s.verdict.reason, s.verdict.message)
}

func (s *summary) reconcilingCondition() metav1.Condition {
	return condition(v1alpha1.ConditionReconciling, s.verdict.state != v1alpha1.StateHealthy && !s.verdict.stalled, s.verdict.reason, s.verdict.message)
}

func (s *summary) stalledCondition() metav1.Condition {
	if !s.verdict.stalled {
		return condition(v1alpha1.ConditionStalled, false, v1alpha1.ReasonNotStalled, "")
	}
	return condition(v1alpha1.ConditionStalled, true, s.verdict.reason, s.verdict.message)
}

func (s *summary) availableCondition() metav1.Condition {
	stable := s.mem.StableRevision
	if stable == "" {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonInitializing, "no revision is stable yet")
	}
	message := fmt.Sprintf("stable revision %s has %d of %s%s", stable, s.replicaSet(stable).Available,
		Quantity(s.spec.replicas, "available pod"), s.trouble(stable))
	if alarm := s.strategy.exposure(s.view).alarm; alarm != "" {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonStableUnavailable, alarm)
	}
	if !s.stableIsAvailable() {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonPodsUnavailable, message)
	}
	return condition(v1alpha1.ConditionAvailable, true, v1alpha1.ReasonPodsAvailable, message)
}

func (s *summary) progressingCondition() metav1.Condition {
	switch {
	case s.verdict.state == v1alpha1.StateHealthy:
		return condition(v1alpha1.ConditionProgressing, true, v1alpha1.ReasonComplete, s.verdict.message)
	case s.verdict.stalled:
		return condition(v1alpha1.ConditionProgressing, false, s.verdict.reason, s.verdict.message)
	default:
		return condition(v1alpha1.ConditionProgressing, true, s.verdict.reason, s.verdict.message)
	}
}

func (s *summary) pausedCondition() metav1.Condition {
	if s.paused == "" {
		return condition(v1alpha1.ConditionPaused, false, v1alpha1.ReasonNotPaused, "")
	}
	return condition(v1alpha1.ConditionPaused, true, s.paused, s.verdict.message)
}

// trafficCondition also lists other uses of the two Services (T1) and route status entries that do not count (T4). These
// are for information only.
func (s *summary) trafficCondition() metav1.Condition {
	exposure := s.strategy.exposure(s.view)
	status, reason, message := s.routed(exposure)
	if s.pending != "" {
		message += "; " + s.pending
	}
	if status && s.pending != "" {
		reason = v1alpha1.ReasonTrafficChangePending
	}
	return condition(v1alpha1.ConditionTrafficRouted, status, reason, strings.Join(append([]string{message}, exposure.remarks...), "; "))
}

func (s *summary) routed(exposure exposure) (status bool, reason, message string) {
	problem := s.trafficProblem()
	switch {
	case problem != nil:
		return false, problem.Reason, problem.Message
	case !s.isManaging():
		return false, v1alpha1.ReasonWaitingForPods, "the Services are set as soon as pods are available"
	case !s.isVerified():
		return false, exposure.unverifiedReason, s.trafficWait()
	}
	reason = v1alpha1.ReasonVerified
	if exposure.isUnversioned {
		reason = v1alpha1.ReasonVerifiedUnversioned
	}
	return true, reason, fmt.Sprintf("the canary Service gets %d %% on every route", s.mem.Traffic.Weight)
}

// trafficProblem returns the problem that keeps traffic from being managed, whatever the template is.
func (s *summary) trafficProblem() *Problem {
	if problem := s.problem(); problem != s.in.Observed.Template.Problem {
		return problem
	}
	return nil
}

// problemEvent warns of a problem that a user has to fix, when it comes up.
func (s *summary) problemEvent(c metav1.Condition) {
	prior := meta.FindStatusCondition(s.in.Prior.Conditions, c.Type)
	if prior != nil && prior.Status == c.Status && prior.Reason == c.Reason {
		return
	}
	switch {
	case c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && c.Reason != v1alpha1.ReasonAborted,
		c.Type == v1alpha1.ConditionTrafficRouted && s.trafficProblem() != nil && s.urgent() == nil:
		s.warn(c.Reason, "%s", c.Message)
	case c.Type == v1alpha1.ConditionPaused && c.Reason == v1alpha1.ReasonInconclusive: // a provider may come and go
		s.warnRepeated(c.Reason, "%s", c.Message)
	case c.Type == v1alpha1.ConditionMeasured && c.Status == metav1.ConditionFalse && s.urgent() == nil:
		s.warnRepeated(c.Reason, "%s", c.Message)
	case c.Type == v1alpha1.ConditionNotified && c.Status == metav1.ConditionFalse:
		s.warnRepeated(c.Reason, "%s", c.Message)
	case c.Type == v1alpha1.ConditionAvailable:
		s.stableEvent(c, prior)
	case c.Type == v1alpha1.ConditionStalled && prior != nil && prior.Status == metav1.ConditionTrue &&
		prior.Reason != v1alpha1.ReasonAborted:
		s.event(EventRecovered, "%s is over", prior.Reason)
	}
}

// stableEvent warns when the stable Service loses its last endpoint, and reports when it has endpoints again. Pods may come
// and go for hours, so both Events are counted.
func (s *summary) stableEvent(c metav1.Condition, prior *metav1.Condition) {
	switch {
	case c.Reason == v1alpha1.ReasonStableUnavailable && (s.stalled == nil || s.stalled.Reason != c.Reason):
		s.warnRepeated(c.Reason, "%s", c.Message)
	case prior != nil && prior.Reason == v1alpha1.ReasonStableUnavailable && s.stalled == nil:
		s.event(EventRecovered, "%s is over", prior.Reason)
		s.events[len(s.events)-1].Repeats = true
	}
}

// Failed returns the status of a pass in which the API server permanently rejected a write: the memory of the pass, and the
// rejection as the message. prior is the status as stored.
func Failed(prior, next v1alpha1.CanaryRolloutStatus, generation int64, message string, now time.Time) v1alpha1.CanaryRolloutStatus {
	return overridden(prior, next, generation, Problem{Reason: v1alpha1.ReasonReconcileError, Message: message}, now)
}

// overridden returns a status whose state, message and summary conditions report a problem from outside the planner.
func overridden(prior, next v1alpha1.CanaryRolloutStatus, generation int64, problem Problem, now time.Time) v1alpha1.CanaryRolloutStatus {
	status := *next.DeepCopy()
	text := truncateMessage(problem.Message)
	status.State, status.Message, status.ObservedGeneration = v1alpha1.StateDegraded, text, generation
	status.Conditions = prior.DeepCopy().Conditions // for their transition times
	set := func(kind string, is bool) {
		c := condition(kind, is, problem.Reason, text)
		c.ObservedGeneration, c.LastTransitionTime = generation, metav1.Time{Time: now}.Rfc3339Copy()
		meta.SetStatusCondition(&status.Conditions, c)
	}
	set(v1alpha1.ConditionReady, false)
	set(v1alpha1.ConditionReconciling, false)
	set(v1alpha1.ConditionStalled, true)
	for _, c := range next.Conditions {
		switch c.Type {
		case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
		default:
			meta.SetStatusCondition(&status.Conditions, c)
		}
	}
	return status
}
