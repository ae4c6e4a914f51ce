// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// A command is carried out exactly once, through a crash at any point: the pass that first sees it writes it to
// memory, for the revision and step that it was given for; the next pass removes the annotation and acts. An abort's
// traffic does not wait for that: it is part of the first of the two writes.

// request is one command annotation as a user set it.
type request struct {
	key, value string
	command    v1alpha1.Command
	// refused says why the command makes no sense; empty if it does.
	refused string
}

// requests lists the command annotations in the order of their precedence.
func (p *pass) requests() []request {
	var all []request
	add := func(key string, value *string, judge func(string) (v1alpha1.Command, string)) {
		if value != nil {
			command, refused := judge(*value)
			all = append(all, request{key: key, value: *value, command: command, refused: refused})
		}
	}
	add(v1alpha1.AbortAnnotation, p.in.Commands.Abort, p.judgeAbort)
	add(v1alpha1.RetryAnnotation, p.in.Commands.Retry, p.judgeRetry)
	add(v1alpha1.PromoteAnnotation, p.in.Commands.Promote, p.judgePromote)
	return all
}

// accepted is the first request that makes sense.
func accepted(requests []request) *request {
	for i := range requests {
		if requests[i].refused == "" {
			return &requests[i]
		}
	}
	return nil
}

// outranks says that an abort came while another command was under way.
func (p *pass) outranks(winner *request) bool {
	return winner != nil && winner.command == v1alpha1.CommandAbort && p.prior.Command.Command != v1alpha1.CommandAbort
}

// commandActions removes the annotations that came with the command in memory; or, when there is none, those that make
// no sense. What was set since the command was accepted is left for the next pass.
func (p *pass) commandActions() {
	requests := p.requests()
	winner := accepted(requests)
	if p.prior.Command == nil && winner != nil || p.prior.Command != nil && p.outranks(winner) {
		return
	}
	var keys []string
	for _, request := range requests {
		if p.prior.Command != nil && !slices.Contains(p.prior.Command.Annotations, request.annotation()) {
			continue
		}
		keys = append(keys, request.key)
		if p.prior.Command == nil || request.key != annotationOf(p.prior.Command.Command) {
			p.warnIgnored(request)
		}
	}
	if len(keys) > 0 {
		p.act(RemoveAnnotations{Reason: Reason("commands are carried out once"), Keys: keys})
	}
}

func (r request) annotation() v1alpha1.CommandAnnotation {
	return v1alpha1.CommandAnnotation{Key: r.key, Value: quote(r.value)}
}

func (p *pass) warnIgnored(request request) {
	why := request.refused
	if why == "" {
		why = "another command came first"
	}
	p.warn(EventCommandIgnored, "%s=%s is ignored: %s", request.key, request.value, why)
}

func annotationOf(command v1alpha1.Command) string {
	switch command {
	case v1alpha1.CommandAbort:
		return v1alpha1.AbortAnnotation
	case v1alpha1.CommandRetry:
		return v1alpha1.RetryAnnotation
	default:
		return v1alpha1.PromoteAnnotation
	}
}

// command writes a new command to memory, or carries out the one that stands there. It says whether the pass has made
// its transition by that.
func (p *pass) command() bool {
	winner := accepted(p.requests())
	switch {
	case p.prior.Command == nil && winner == nil:
		return false
	case p.prior.Command == nil, p.outranks(winner):
		p.accept(*winner, p.requests())
	default:
		p.mem.Command = nil
		return p.carryOut(*p.prior.Command)
	}
	return true
}

func (p *pass) accept(winner request, all []request) {
	p.mem.Command = &v1alpha1.CommandMemory{
		Command: winner.command, Revision: p.mem.CurrentRevision, StepIndex: p.mem.StepIndex,
	}
	for _, given := range all {
		p.mem.Command.Annotations = append(p.mem.Command.Annotations, given.annotation())
	}
	if winner.command != v1alpha1.CommandAbort {
		p.keepStalled()
		return
	}
	reason := quote(winner.value)
	if reason == "true" {
		reason = "by hand"
	}
	p.abort(reason)
}

// keepStalled keeps what stalls a return to the stable revision: a pass that accepts a command does not look for it, and
// must not report that it is over.
func (p *pass) keepStalled() {
	stalled := meta.FindStatusCondition(p.in.Prior.Conditions, v1alpha1.ConditionStalled)
	if p.mem.Phase == v1alpha1.PhaseRollingBack && stalled != nil && stalled.Reason == v1alpha1.ReasonStableUnavailable {
		p.stall(stalled.Reason, "%s", stalled.Message)
	}
}

// carryOut says whether it made the transition of this pass. An abort made its own when it was accepted, and a retry makes
// none: the pass goes on as one without a command.
func (p *pass) carryOut(command v1alpha1.CommandMemory) bool {
	if command.Command == v1alpha1.CommandAbort {
		return false
	}
	if command.Revision != p.mem.CurrentRevision || command.StepIndex != p.mem.StepIndex {
		p.warn(EventCommandIgnored, "%s was given for step %d of revision %s, which is over", command.Command, command.StepIndex+1, command.Revision)
		return false
	}
	switch command.Command {
	case v1alpha1.CommandPromote:
		p.carryOutPromote()
	case v1alpha1.CommandPromoteFull:
		p.carryOutPromoteFull()
	default:
		p.carryOutRetry()
		return false
	}
	return true
}

func (p *pass) carryOutPromote() {
	if p.pauseStep() != nil {
		p.event(EventResumed, "step %s: promoted by hand", p.stepNumber())
		p.nextStep()
		return
	}
	p.warn(EventCommandIgnored, "Promote was given for a pause that is over: the steps were edited")
}

func (p *pass) carryOutPromoteFull() {
	p.event(EventPromoting, "the remaining steps are skipped by hand: promoting revision %s", p.mem.CurrentRevision)
	if p.mem.Phase == v1alpha1.PhaseRollingBack {
		p.mem.ForcedRevision = p.mem.CurrentRevision
		p.mem.AbortedRevision, p.mem.AbortReason = "", ""
		p.began(p.mem.CurrentRevision)
	}
	p.mem.StepIndex = int32(len(p.in.Spec.Steps))
	p.enter(v1alpha1.PhasePromoting)
}

func (p *pass) carryOutRetry() {
	p.event(EventRetried, "revision %s is tried again", p.mem.AbortedRevision)
	p.mem.AbortedRevision, p.mem.AbortReason = "", ""
}

// pauseStep is the pause that is the current step, if it is one.
func (p *pass) pauseStep() *v1alpha1.Pause {
	if p.mem.Phase != v1alpha1.PhaseStepping || int(p.mem.StepIndex) >= len(p.in.Spec.Steps) ||
		p.mem.StepsHash != p.in.Observed.StepsHash {
		return nil
	}
	return p.in.Spec.Steps[p.mem.StepIndex].Pause
}

func (p *pass) judgeAbort(value string) (v1alpha1.Command, string) {
	return v1alpha1.CommandAbort, func() string {
		switch {
		case value == "" || value == "false":
			return "the value must be true, or a reason in words"
		case p.mem.StableRevision == "":
			return "the first deploy has no stable revision to go back to: apply another template"
		case p.isAborted():
			return "revision " + p.mem.AbortedRevision + " is aborted already"
		case p.mem.Phase == v1alpha1.PhaseRollingBack && p.target() == p.mem.StableRevision:
			return "all traffic is on its way back to revision " + p.mem.StableRevision + " already"
		case p.mem.Phase == v1alpha1.PhaseIdle && (p.target() == "" || p.target() == p.mem.StableRevision):
			return "nothing is in flight; to go back, apply the previous template: its pods may still be warm, and promote=full makes it quick"
		default:
			return ""
		}
	}()
}

func (p *pass) judgeRetry(value string) (v1alpha1.Command, string) {
	switch {
	case value != "true":
		return v1alpha1.CommandRetry, "the value must be true"
	case !p.isAborted():
		return v1alpha1.CommandRetry, "nothing is aborted"
	default:
		return v1alpha1.CommandRetry, ""
	}
}

const heldBySpec = "spec.paused holds the rollout: set it to false first"

func (p *pass) judgePromote(value string) (v1alpha1.Command, string) {
	revision, what, isBound := strings.Cut(value, "/")
	switch {
	case value == "full":
		return v1alpha1.CommandPromoteFull, p.judgePromoteFull()
	case isBound && p.isAborted() && revision == p.mem.AbortedRevision && revision != p.mem.CurrentRevision:
		return v1alpha1.CommandPromote, p.retryFirst()
	case isBound && what == "full" && revision != p.mem.CurrentRevision:
		return v1alpha1.CommandPromoteFull, fmt.Sprintf("it is meant for revision %s, and the rollout is at revision %s", revision, p.mem.CurrentRevision)
	case isBound && what == "full":
		return v1alpha1.CommandPromoteFull, p.judgePromoteFull()
	}
	if at := fmt.Sprintf("%s/%d", p.mem.CurrentRevision, p.mem.StepIndex+1); value != "true" && value != at {
		if isBound {
			return v1alpha1.CommandPromote, "the rollout is at " + at
		}
		return v1alpha1.CommandPromote, "the value must be true, full, or a revision and the number of its step, as in " + at
	}
	switch {
	case p.in.Spec.Paused:
		return v1alpha1.CommandPromote, heldBySpec
	case p.isAborted():
		return v1alpha1.CommandPromote, p.retryFirst()
	case p.pauseStep() == nil:
		return v1alpha1.CommandPromote, "the rollout is not at a pause step"
	}
	return v1alpha1.CommandPromote, ""
}

func (p *pass) judgePromoteFull() string {
	observed := p.in.Observed
	switch {
	case p.in.Spec.Paused:
		return heldBySpec
	case p.mem.Phase == v1alpha1.PhaseStepping:
		return ""
	case p.mem.Phase == v1alpha1.PhasePromoting:
		return "revision " + p.mem.CurrentRevision + " is being promoted already"
	case p.mem.Phase == v1alpha1.PhaseRollingBack && p.replicaSet(p.mem.StableRevision).Ready == 0 &&
		readyOf(observed.Canary, p.mem.CurrentRevision) > 0:
		return ""
	case p.isAborted():
		return p.retryFirst()
	default:
		return "nothing is in flight"
	}
}

func (p *pass) retryFirst() string {
	return "revision " + p.mem.AbortedRevision + " is aborted: retry it first"
}

// annotate is the kubectl command that sets an annotation on this rollout.
func (p *pass) annotate(annotation string) string {
	return AnnotateCommand(p.in.Namespace, p.in.Name, annotation)
}

// AnnotateCommand returns the kubectl command that sets an annotation on a rollout, as messages name it.
func AnnotateCommand(namespace, name, annotation string) string {
	return fmt.Sprintf("kubectl -n %s annotate canaryrollout %s %s", namespace, name, annotation)
}
