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

// conditions carries the transition times of the prior conditions over.
func (p *pass) conditions(v verdict) []metav1.Condition {
	conditions := make([]metav1.Condition, 0, 7)
	for i := range p.in.Prior.Conditions {
		conditions = append(conditions, *p.in.Prior.Conditions[i].DeepCopy())
	}
	for _, condition := range []metav1.Condition{
		p.readyCondition(v), p.reconcilingCondition(v), p.stalledCondition(v),
		p.availableCondition(), p.progressingCondition(v), p.pausedCondition(v), p.trafficCondition(),
	} {
		condition.ObservedGeneration = p.in.Generation
		condition.LastTransitionTime = metav1.Time{Time: p.in.Now}.Rfc3339Copy()
		p.problemEvent(condition)
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

func (p *pass) readyCondition(v verdict) metav1.Condition {
	return condition(v1alpha1.ConditionReady, v.state == v1alpha1.StateHealthy, v.reason, v.message)
}

func (p *pass) reconcilingCondition(v verdict) metav1.Condition {
	return condition(v1alpha1.ConditionReconciling, v.state != v1alpha1.StateHealthy && !v.stalled, v.reason, v.message)
}

func (p *pass) stalledCondition(v verdict) metav1.Condition {
	if !v.stalled {
		return condition(v1alpha1.ConditionStalled, false, v1alpha1.ReasonNotStalled, "")
	}
	return condition(v1alpha1.ConditionStalled, true, v.reason, v.message)
}

func (p *pass) availableCondition() metav1.Condition {
	stable := p.mem.StableRevision
	if stable == "" {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonInitializing, "no revision is stable yet")
	}
	message := fmt.Sprintf("stable revision %s has %d of %s%s", stable, p.replicaSet(stable).Available,
		Quantity(p.spec.replicas, "available pod"), p.trouble(stable))
	if alarm := p.stableAlarm(); alarm != "" {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonStableUnavailable, alarm)
	}
	if !p.stableIsAvailable() {
		return condition(v1alpha1.ConditionAvailable, false, v1alpha1.ReasonPodsUnavailable, message)
	}
	return condition(v1alpha1.ConditionAvailable, true, v1alpha1.ReasonPodsAvailable, message)
}

func (p *pass) progressingCondition(v verdict) metav1.Condition {
	switch {
	case v.state == v1alpha1.StateHealthy:
		return condition(v1alpha1.ConditionProgressing, true, v1alpha1.ReasonComplete, v.message)
	case v.stalled:
		return condition(v1alpha1.ConditionProgressing, false, v.reason, v.message)
	default:
		return condition(v1alpha1.ConditionProgressing, true, v.reason, v.message)
	}
}

func (p *pass) pausedCondition(v verdict) metav1.Condition {
	if p.paused == "" {
		return condition(v1alpha1.ConditionPaused, false, v1alpha1.ReasonNotPaused, "")
	}
	return condition(v1alpha1.ConditionPaused, true, p.paused, v.message)
}

// trafficCondition also names, without judging them, other uses of the two Services (T1), and the answers that do not
// count (T4).
func (p *pass) trafficCondition() metav1.Condition {
	status, reason, message := p.traffic()
	var others, ignored []string
	for _, route := range p.in.Observed.Routes {
		if route.OtherUses != "" {
			others = append(others, route.OtherUses)
		}
		if route.Ignored != "" {
			ignored = append(ignored, fmt.Sprintf("%s %s: %s", route.Kind, route.Name, route.Ignored))
		}
	}
	if p.pending != "" {
		message += "; " + p.pending
	}
	if status && p.pending != "" {
		reason = v1alpha1.ReasonTrafficChangePending
	}
	if len(others) > 0 {
		message += "; also used by " + strings.Join(others, ", ")
	}
	if len(ignored) > 0 {
		message += "; status entries that do not count: " + strings.Join(ignored, "; ")
	}
	return condition(v1alpha1.ConditionTrafficRouted, status, reason, message)
}

func (p *pass) traffic() (status bool, reason, message string) {
	problem := p.trafficProblem()
	switch {
	case problem != nil:
		return false, problem.Reason, problem.Message
	case !p.isManaging():
		return false, v1alpha1.ReasonWaitingForPods, "the Services are set as soon as pods are available"
	case !p.isVerified():
		return false, p.unverifiedReason(), p.trafficWait()
	}
	reason = v1alpha1.ReasonVerified
	for _, route := range p.in.Observed.Routes {
		if route.Unversioned {
			reason = v1alpha1.ReasonVerifiedUnversioned
		}
	}
	return true, reason, fmt.Sprintf("the canary Service gets %d %% on every route", p.mem.Traffic.Weight)
}

// trafficProblem is what keeps traffic from being managed, whatever the template is.
func (p *pass) trafficProblem() *Problem {
	problem := p.problem()
	if problem != nil && problem == p.in.Observed.Template.Problem {
		return nil
	}
	return problem
}

// isManaging says that a first deploy has begun to take over what answers the requests.
func (p *pass) isManaging() bool {
	return p.mem.StableRevision != "" || p.mem.StableService.Revision != "" || p.mem.Traffic.Weight > 0
}

// problemEvent warns of what a user has to put right, when it comes up.
func (p *pass) problemEvent(c metav1.Condition) {
	prior := meta.FindStatusCondition(p.in.Prior.Conditions, c.Type)
	if prior != nil && prior.Status == c.Status && prior.Reason == c.Reason {
		return
	}
	switch {
	case c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && c.Reason != v1alpha1.ReasonAborted,
		c.Type == v1alpha1.ConditionTrafficRouted && p.trafficProblem() != nil && p.urgent() == nil:
		p.warn(c.Reason, "%s", c.Message)
	case c.Type == v1alpha1.ConditionAvailable:
		p.stableEvent(c, prior)
	case c.Type == v1alpha1.ConditionStalled && prior != nil && prior.Status == metav1.ConditionTrue &&
		prior.Reason != v1alpha1.ReasonAborted:
		p.event(EventRecovered, "%s is over", prior.Reason)
	}
}

// Failed is the status of a pass that the API server refused a write of, for good: its memory, and beside it for people
// what was refused. The prior status is the one that stands.
func Failed(prior, next v1alpha1.CanaryRolloutStatus, generation int64, message string, now time.Time) v1alpha1.CanaryRolloutStatus {
	return helpless(prior, next, generation, Problem{Reason: v1alpha1.ReasonReconcileError, Message: message}, now)
}

// helpless is a status over which a problem stands that is not the planner's own.
func helpless(prior, next v1alpha1.CanaryRolloutStatus, generation int64, problem Problem, now time.Time) v1alpha1.CanaryRolloutStatus {
	status := *next.DeepCopy()
	text := message(problem.Message)
	status.State, status.Message, status.ObservedGeneration = v1alpha1.StateDegraded, text, generation
	status.Conditions = prior.DeepCopy().Conditions // which know since when it stands
	stand := func(kind string, is bool) {
		c := condition(kind, is, problem.Reason, text)
		c.ObservedGeneration, c.LastTransitionTime = generation, metav1.Time{Time: now}.Rfc3339Copy()
		meta.SetStatusCondition(&status.Conditions, c)
	}
	stand(v1alpha1.ConditionReady, false)
	stand(v1alpha1.ConditionReconciling, false)
	stand(v1alpha1.ConditionStalled, true)
	for _, c := range next.Conditions {
		switch c.Type {
		case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled:
		default:
			meta.SetStatusCondition(&status.Conditions, c)
		}
	}
	return status
}
