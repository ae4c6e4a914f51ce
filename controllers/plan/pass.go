// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// pass is the working state of one Compute.
type pass struct {
	in   Input
	spec settings
	// prior is the memory as last written: what actions are made from.
	prior v1alpha1.Memory
	// mem is the memory to be written.
	mem v1alpha1.Memory

	plan    Plan
	history []v1alpha1.HistoryEntry
	// waiting says in words what the first unmet gate waits for.
	waiting string
	// trafficWaiting says what the first route that is not verified waits for.
	trafficWaiting string
	// proven are the routes that are verified to carry the target, by kind and name.
	proven map[[2]string]bool
	// pending says which change of spec.traffic is not complete yet, and why.
	pending string
	// stalled is what keeps the rollout from getting on without help.
	stalled *Problem
	// pausedUntil is when a pause that holds the rollout ends by itself; zero if it does not.
	pausedUntil time.Time
	// paused is the reason of the pause that holds the rollout, or empty.
	paused string
}

// settings are the numbers of the spec, defaulted.
type settings struct {
	replicas, historyLimit           int32
	deadline, scaleDownDelay, settle time.Duration
	verifyTimeout                    time.Duration
}

func newSettings(spec *v1alpha1.CanaryRolloutSpec) settings {
	seconds := func(value *int32, fallback int32) time.Duration {
		return time.Duration(ptr.Deref(value, fallback)) * time.Second
	}
	return settings{
		replicas:       ptr.Deref(spec.Replicas, v1alpha1.DefaultReplicas),
		historyLimit:   min(ptr.Deref(spec.RevisionHistoryLimit, v1alpha1.DefaultRevisionHistoryLimit), v1alpha1.MaxRevisionHistoryLimit),
		deadline:       seconds(spec.ProgressDeadlineSeconds, v1alpha1.DefaultProgressDeadlineSeconds),
		scaleDownDelay: seconds(spec.ScaleDownDelaySeconds, v1alpha1.DefaultScaleDownDelaySeconds),
		settle:         seconds(spec.Traffic.SettleSeconds, v1alpha1.DefaultSettleSeconds),
		verifyTimeout:  seconds(spec.Traffic.VerifyTimeoutSeconds, v1alpha1.DefaultVerifyTimeoutSeconds),
	}
}

func (p *pass) act(a Action) { p.plan.Actions = append(p.plan.Actions, a) }

func (p *pass) event(reason, format string, args ...any) {
	p.plan.Events = append(p.plan.Events, Event{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (p *pass) warn(reason, format string, args ...any) {
	p.plan.Events = append(p.plan.Events, Event{Warning: true, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// warnRepeated is warn for what somebody may cause every second.
func (p *pass) warnRepeated(reason, format string, args ...any) {
	p.warn(reason, format, args...)
	p.plan.Events[len(p.plan.Events)-1].Repeats = true
}

// wait records what the pass waits for; the first reason is the one that a person has to know.
func (p *pass) wait(format string, args ...any) {
	if p.waiting == "" {
		p.waiting = fmt.Sprintf(format, args...)
	}
}

func (p *pass) pend(format string, args ...any) {
	if p.pending == "" {
		p.pending = fmt.Sprintf(format, args...)
	}
}

func (p *pass) stall(reason, format string, args ...any) {
	if p.stalled == nil {
		p.stalled = &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
	}
}

// reached says whether the moment has come, and makes sure that the pass after it is not missed.
func (p *pass) reached(at time.Time) bool {
	if !p.in.Now.Before(at) {
		return true
	}
	if p.plan.WakeAt.IsZero() || at.Before(p.plan.WakeAt) {
		p.plan.WakeAt = at
	}
	return false
}

func (p *pass) now() *metav1.MicroTime { return &metav1.MicroTime{Time: p.in.Now} }

// target is the revision that spec.template asks for, or empty while it cannot be known.
func (p *pass) target() string { return p.in.Observed.Template.Revision }

// replicaSet returns the one of that revision; the zero value when there is none.
func (p *pass) replicaSet(revision string) ReplicaSet {
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Revision == revision {
			return rs
		}
	}
	return ReplicaSet{}
}

// available counts the pods of a revision that may be relied on: none while the ReplicaSet's status is about an
// older size.
func (p *pass) available(revision string) int32 {
	rs := p.replicaSet(revision)
	if !rs.Current {
		return 0
	}
	return rs.Available
}

// waitForPods says how many pods there are of those that are needed.
func (p *pass) waitForPods(revision string, need int32) {
	p.wait("waiting for %s of revision %s: %d so far%s", Quantity(need, "available pod"), revision,
		p.replicaSet(revision).Available, p.trouble(revision))
}

// trouble says why a revision lacks pods, to go on from a message that says how many it has.
func (p *pass) trouble(revision string) string {
	rs := p.replicaSet(revision)
	if rs.Trouble == "" || rs.Available >= rs.Desired {
		return ""
	}
	return " (" + quote(rs.Trouble) + ")"
}

// problem is the first thing that a user has to put right before steps and Services may move.
func (p *pass) problem() *Problem {
	observed := p.in.Observed
	problems := []*Problem{observed.Template.Problem, observed.Stable.Problem, observed.Canary.Problem}
	for _, route := range observed.Routes {
		if !route.Leaving {
			problems = append(problems, route.Problem, p.cannotStep(route))
		}
	}
	for _, problem := range append(problems, p.refusedStep()) {
		if problem != nil {
			return problem
		}
	}
	return nil
}

// Quantity is a number with what it counts, for people.
func Quantity(count int32, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

// share is the part of replicas that a weight stands for, rounded up.
func share(replicas, weight int32) int32 {
	return int32((int64(replicas)*int64(weight) + 99) / 100)
}
