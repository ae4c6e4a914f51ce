// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// transition makes the next memory. Nothing else writes that, and it makes at most one move of the state machine.
type transition struct {
	// view is the view of the memory to be written.
	view
	notes
	// before is the view of the memory as last written.
	before      view
	history     []v1alpha1.HistoryEntry
	stepHistory []v1alpha1.StepHistoryEntry
	// startedBy is who gave the command that starts a release in this move; empty if none does.
	startedBy string
	// verifiedRoutes are the routes that are verified to carry the target.
	verifiedRoutes map[routeKey]bool
	// probe is what to measure until the next pass; nil if nothing.
	probe *ProbeRequest
	// metricReports say what has been measured so far.
	metricReports []v1alpha1.MetricStatus
	// isReleased is set when a deletion has handed its traffic back.
	isReleased bool
}

func newTransition(before view) *transition {
	t := &transition{view: before, before: before}
	t.mem = before.mem.DeepCopy()
	t.stepHistory = slices.Clone(before.in.Prior.StepHistory)
	for i := range before.in.Prior.History {
		t.history = append(t.history, *before.in.Prior.History[i].DeepCopy())
	}
	return t
}

// reconcile makes the next memory of a rollout that is not being deleted.
func (t *transition) reconcile() {
	t.rememberTemplate()
	t.strategy.observe(t)
	t.watchDraining()
	t.keepPauseClock()
	t.observeMeasurements()
	t.move()
	t.keepLoad()
	t.keepVerifyTimeout()
	t.keepDeadline()
}

// move makes at most one move of the state machine. Nothing delays the abort of a canary that has failed, and no request of a user
// delays the failover of one that cannot serve.
func (t *transition) move() {
	command, next, retarget, failure := t.mem.Command, t.acceptable(), t.strategy.retarget(t.view), t.failure()
	switch {
	case failure != "":
		t.overrule(command)
		t.abortRevision(t.mem.CurrentRevision, failure, "")
	case retarget != nil:
		retarget(t)
		t.awaitVerification()
	case next != nil:
		t.accept(*next)
		t.keepServing()
	case command != nil && t.isMove(*command):
		t.carryOut(*command)
		t.keepServing()
	default:
		if command != nil {
			t.carryOut(*command)
		}
		t.advance()
	}
}

// keepServing is the part of advance that also runs in the pass of a command.
func (t *transition) keepServing() {
	if failOver := t.strategy.failOver(t.view); failOver != nil && t.isGoingForward() {
		failOver(t)
	}
}

func (t *transition) advance() {
	switch t.mem.Phase {
	case v1alpha1.PhaseStepping:
		t.step()
	case v1alpha1.PhasePromoting:
		t.promote()
	case v1alpha1.PhaseRollingBack:
		t.strategy.rollBack(t)
	default:
		t.startNext()
	}
}

// startNext starts a release if the template asks for another revision than the stable one.
func (t *transition) startNext() {
	target, blocked := t.target(), t.blocked()
	switch {
	case target == "" || target == t.mem.AbortedRevision:
	case target == t.mem.StableRevision:
		t.mem.AbortedRevision, t.mem.AbortReason = "", ""
	case blocked.shut:
		t.await(blocked)
	case len(t.mem.LeavingServices) > 0: // their clients would get the next revision too early, or lose their endpoints
		t.wait(t.pending)
	case t.spec.replicas == 0:
		t.start(target)
		t.setPhase(v1alpha1.PhasePromoting)
	default:
		t.start(target)
	}
}

// start begins a release.
func (t *transition) start(revision string) {
	t.mem.CurrentRevision = revision
	t.mem.AbortedRevision, t.mem.AbortReason = "", ""
	t.mem.StepTargets = v1alpha1.StepTargetsMemory{}
	t.setPhase(v1alpha1.PhaseStepping)
	t.startAnalysis()
	t.stepHistory = nil
	t.enterStep(0)
	t.began(revision)
	t.event(EventStarted, "revision %s (%s) starts with %s; stable is %s",
		revision, t.in.Observed.Template.Images, Quantity(int32(len(t.in.Spec.Steps)), "step"), t.mem.StableRevision)
}

// promote makes the next move that replaces the stable revision by the current one (T8).
func (t *transition) promote() {
	target, blocked := t.target(), t.blocked()
	failOver, removeRefused := t.strategy.failOver(t.view), t.strategy.removeRefused(t.view)
	switch {
	case target != "" && target != t.mem.CurrentRevision && !t.isLastOfBake() && t.strategy.mayLeave(t.view):
		t.supersede(target)
	case failOver != nil:
		failOver(t)
	case removeRefused != nil:
		removeRefused(t)
	case blocked.shut:
		t.await(blocked)
	default:
		t.strategy.promote(t)
	}
}

// commit is the commit point of T8. From here on, returning to the former revision takes another release.
func (t *transition) commit() {
	revision := t.mem.CurrentRevision
	if t.mem.StableRevision == "" {
		t.event(EventPromoted, "revision %s is deployed and serves all traffic", revision)
	} else {
		t.event(EventPromoted, "revision %s is stable and serves all traffic; revision %s keeps its pods for %s",
			revision, t.mem.StableRevision, t.spec.settle+t.spec.scaleDownDelay)
	}
	t.ended(revision, v1alpha1.OutcomePromoted, "", t.mem.PromotedBy)
	t.mem.StableRevision = revision
	t.mem.AbortedRevision, t.mem.AbortReason = "", ""
	t.mem.ForcedRevision = ""
	t.finish()
}

// finish ends the release in flight, or the rollback.
func (t *transition) finish() {
	t.mem.CurrentRevision = t.mem.StableRevision
	t.mem.StepIndex, t.mem.StepsHash, t.mem.PromotedBy = 0, "", ""
	t.mem.StepTargets = v1alpha1.StepTargetsMemory{}
	t.setPhase(v1alpha1.PhaseIdle)
}

// blocked is shut while the release may not go forward: until a problem is fixed, or while spec.paused is set.
func (t *transition) blocked() gate {
	switch problem := t.problem(); {
	case problem != nil:
		return waitFor("%s", problem.Message)
	case t.in.Spec.Paused:
		g := waitFor("held by spec.paused: set it to false to continue")
		g.paused = v1alpha1.ReasonSpecPaused
		return g
	default:
		return gate{}
	}
}

// problem returns the first problem that a user has to fix before steps and Services may move.
func (v view) problem() *Problem {
	if problem := v.in.Observed.Template.Problem; problem != nil {
		return problem
	}
	return cmp.Or(v.strategy.problem(v), v.analysisProblem())
}

// rememberTemplate records the template, so that an unchanged one costs no request.
func (t *transition) rememberTemplate() {
	if template := t.in.Observed.Template; template.Revision != "" {
		t.mem.Template = v1alpha1.TemplateMemory{Hash: template.Hash, Revision: template.Revision}
	}
}

func (t *transition) setPhase(phase v1alpha1.Phase) {
	t.stepEnded()
	t.mem.Phase, t.mem.StepRefusal = phase, ""
	t.mem.TransitionedAt = t.now()
}

func (v view) now() *metav1.MicroTime { return &metav1.MicroTime{Time: v.in.Now} }
