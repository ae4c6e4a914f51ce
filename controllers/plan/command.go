// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// A command is carried out exactly once, even after a crash at any point. The pass that first sees it writes it to memory,
// with the revision and the step that it was given for. The next pass removes the annotation and acts. The traffic of an
// abort does not wait for that: the first of the two passes already writes its target.

// request is one command annotation as a user set it.
type request struct {
	key, value string
	command    v1alpha1.Command
	// byKey is the annotation that names the user, and user is that name; empty if it is not known.
	byKey, user string
	// refused is why the command makes no sense; empty if it does.
	refused string
}

// requests returns the command annotations in the order of their precedence.
func (v view) requests() []request {
	var all []request
	add := func(key string, value *string, byKey, user string, check func(string) (v1alpha1.Command, string)) {
		if value != nil {
			command, refused := check(*value)
			all = append(all, request{key: key, value: *value, command: command, byKey: byKey, user: userName(user), refused: refused})
		}
	}
	given, users := v.in.Commands, v.in.Users
	add(v1alpha1.AbortAnnotation, given.Abort, v1alpha1.AbortedByAnnotation, users.AbortedBy, v.checkAbort)
	add(v1alpha1.RetryAnnotation, given.Retry, v1alpha1.RetriedByAnnotation, users.RetriedBy, v.checkRetry)
	add(v1alpha1.PromoteAnnotation, given.Promote, v1alpha1.PromotedByAnnotation, users.PromotedBy, v.checkPromote)
	return all
}

// firstValid returns the first request that makes sense.
func firstValid(requests []request) *request {
	for i := range requests {
		if requests[i].refused == "" {
			return &requests[i]
		}
	}
	return nil
}

// outranks reports whether the request is an abort and another command is in progress.
func (v view) outranks(winner *request) bool {
	return winner != nil && winner.command == v1alpha1.CommandAbort && v.mem.Command.Command != v1alpha1.CommandAbort
}

// acceptable returns the request that becomes the command in memory; nil while another one is in progress that it does not
// outrank.
func (v view) acceptable() *request {
	winner := firstValid(v.requests())
	if v.mem.Command == nil || v.outranks(winner) {
		return winner
	}
	return nil
}

// removeCommands removes the annotations that came with the command in memory or, if there is no command, those that make
// no sense. Annotations that were set after the command was accepted are left for the next pass.
func (w *writes) removeCommands() {
	if w.acceptable() != nil {
		return
	}
	var keys, ignored []string
	for _, request := range w.requests() {
		if w.mem.Command != nil && !slices.Contains(w.mem.Command.Annotations, request.annotation()) {
			continue
		}
		keys = append(keys, request.key)
		if request.user != "" {
			keys = append(keys, request.byKey)
		}
		if w.mem.Command == nil || request.key != annotationOf(w.mem.Command.Command) {
			ignored = append(ignored, whyIgnored(request))
		}
	}
	if len(keys) == 0 {
		return
	}
	removal := RemoveAnnotations{Reason: "commands are carried out once", Keys: keys}
	if len(ignored) > 0 {
		removal.Event = Event{Warning: true, Reason: EventCommandIgnored, Message: strings.Join(ignored, "; ")}
	}
	w.act(removal)
}

func (r request) annotation() v1alpha1.CommandAnnotation {
	return v1alpha1.CommandAnnotation{Key: r.key, Value: excerpt(r.value)}
}

func whyIgnored(request request) string {
	return fmt.Sprintf("%s=%s is ignored: %s", request.key, request.value, cmp.Or(request.refused, "another command came first"))
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

// accept writes a command to memory.
func (t *transition) accept(winner request) {
	t.mem.Command = &v1alpha1.CommandMemory{
		Command: winner.command, Revision: t.mem.CurrentRevision, StepIndex: t.mem.StepIndex, User: winner.user,
	}
	for _, given := range t.before.requests() {
		t.mem.Command.Annotations = append(t.mem.Command.Annotations, given.annotation())
	}
	if winner.command != v1alpha1.CommandAbort {
		t.keepStalled()
		return
	}
	reason := excerpt(winner.value)
	if reason == "true" {
		reason = "by hand"
	}
	t.abort(reason, winner.user)
}

// keepStalled keeps the problem that stalls a rollback. A pass that accepts a command does not check for it, and must not
// report that it is resolved.
func (t *transition) keepStalled() {
	stalled := meta.FindStatusCondition(t.in.Prior.Conditions, v1alpha1.ConditionStalled)
	if t.mem.Phase == v1alpha1.PhaseRollingBack && stalled != nil && stalled.Reason == v1alpha1.ReasonStableUnavailable {
		t.stall(&Problem{Reason: stalled.Reason, Message: stalled.Message})
	}
}

// isOutdated reports whether a command was given for another revision or step than the current one.
func (v view) isOutdated(command v1alpha1.CommandMemory) bool {
	return command.Revision != v.mem.CurrentRevision || command.StepIndex != v.mem.StepIndex
}

// isMove reports whether carrying out a command is the move of a pass. An abort made its move when it was accepted, and a
// retry makes none.
func (v view) isMove(command v1alpha1.CommandMemory) bool {
	return !v.isOutdated(command) && (command.Command == v1alpha1.CommandPromote || command.Command == v1alpha1.CommandPromoteFull)
}

// overrule ends a command that was accepted and not carried out yet, because its release is aborted.
func (t *transition) overrule(command *v1alpha1.CommandMemory) {
	if command != nil && t.isMove(*command) {
		t.warn(EventCommandIgnored, "%s is ignored: a metric has failed", command.Command)
		t.mem.Command = nil
	}
}

func (t *transition) carryOut(command v1alpha1.CommandMemory) {
	t.mem.Command = nil
	switch {
	case command.Command == v1alpha1.CommandAbort:
	case t.isOutdated(command):
		t.warn(EventCommandIgnored, "%s was given for step %d of revision %s, which is over", command.Command, command.StepIndex+1, command.Revision)
	case command.Command == v1alpha1.CommandPromote:
		t.carryOutPromote(command.User)
	case command.Command == v1alpha1.CommandPromoteFull:
		t.carryOutPromoteFull(command.User)
	default:
		t.startedBy = command.User
		t.event(EventRetried, "retrying revision %s", t.mem.AbortedRevision)
		t.mem.AbortedRevision, t.mem.AbortReason = "", ""
	}
}

func (t *transition) carryOutPromote(user string) {
	if t.isBaking() {
		t.mem.PromotedBy = user
		t.event(EventResumed, "the bake of revision %s is ended by hand", t.mem.CurrentRevision)
		t.mem.Bake.Ended = true
		t.advance()
		return
	}
	if t.isHeld() {
		t.mem.PromotedBy = user
		t.event(EventResumed, "step %s: promoted by hand", t.stepNumber())
		t.nextStep()
		return
	}
	t.warn(EventCommandIgnored, "Promote was given for a step that is over: the steps were edited")
}

func (t *transition) carryOutPromoteFull(user string) {
	if t.isBaking() {
		t.carryOutPromote(user)
		return
	}
	t.event(EventPromoting, "the remaining steps are skipped by hand: promoting revision %s", t.mem.CurrentRevision)
	if t.mem.Phase == v1alpha1.PhaseRollingBack {
		t.mem.ForcedRevision = t.mem.CurrentRevision
		t.mem.AbortedRevision, t.mem.AbortReason = "", ""
		t.startedBy = user
		t.began(t.mem.CurrentRevision)
	}
	t.mem.PromotedBy = user
	t.mem.StepIndex = int32(len(t.in.Spec.Steps))
	t.setPhase(v1alpha1.PhasePromoting)
}

func (v view) checkAbort(value string) (v1alpha1.Command, string) {
	return v1alpha1.CommandAbort, func() string {
		switch {
		case value == "" || value == "false":
			return "the value must be true, or a reason"
		case v.mem.StableRevision == "":
			return "the first deploy has no stable revision to roll back to: apply another template"
		case v.isAborted():
			return "revision " + v.mem.AbortedRevision + " is already aborted"
		case v.mem.Phase == v1alpha1.PhaseRollingBack && v.target() == v.mem.StableRevision:
			return "all traffic is already returning to revision " + v.mem.StableRevision
		case v.mem.Phase == v1alpha1.PhaseIdle && (v.target() == "" || v.target() == v.mem.StableRevision):
			return "nothing is in flight; to roll back, apply the previous template: its pods may still be running, and promote=full skips the steps"
		default:
			return ""
		}
	}()
}

func (v view) checkRetry(value string) (v1alpha1.Command, string) {
	switch {
	case value != "true":
		return v1alpha1.CommandRetry, "the value must be true"
	case !v.isAborted():
		return v1alpha1.CommandRetry, "nothing is aborted"
	default:
		return v1alpha1.CommandRetry, ""
	}
}

// isHeld reports whether the release is at a step that a promote command ends.
func (v view) isHeld() bool { return v.pauseStep() != nil || v.analysisStep() != nil }

const heldBySpec = "spec.paused holds the rollout: set it to false first"

func (v view) checkPromote(value string) (v1alpha1.Command, string) {
	revision, what, isBound := strings.Cut(value, "/")
	switch {
	case value == "full":
		return v1alpha1.CommandPromoteFull, v.checkPromoteFull()
	case isBound && v.isAborted() && revision == v.mem.AbortedRevision && revision != v.mem.CurrentRevision:
		return v1alpha1.CommandPromote, v.retryFirst()
	case isBound && what == "full" && revision != v.mem.CurrentRevision:
		return v1alpha1.CommandPromoteFull, fmt.Sprintf("it is for revision %s, but the rollout is at revision %s", revision, v.mem.CurrentRevision)
	case isBound && what == "full":
		return v1alpha1.CommandPromoteFull, v.checkPromoteFull()
	}
	if at := fmt.Sprintf("%s/%d", v.mem.CurrentRevision, v.mem.StepIndex+1); value != "true" && value != at {
		if isBound {
			return v1alpha1.CommandPromote, "the rollout is at " + at
		}
		return v1alpha1.CommandPromote, "the value must be true, full, or a revision and a step number, as in " + at
	}
	switch {
	case v.in.Spec.Paused:
		return v1alpha1.CommandPromote, heldBySpec
	case v.isAborted():
		return v1alpha1.CommandPromote, v.retryFirst()
	case !v.isHeld() && !v.isBaking():
		return v1alpha1.CommandPromote, "the rollout is not at a pause or an analysis step"
	}
	return v1alpha1.CommandPromote, ""
}

func (v view) checkPromoteFull() string {
	observed := v.in.Observed
	switch {
	case v.in.Spec.Paused:
		return heldBySpec
	case v.mem.Phase == v1alpha1.PhaseStepping || v.isBaking():
		return ""
	case v.mem.Phase == v1alpha1.PhasePromoting:
		return "revision " + v.mem.CurrentRevision + " is already being promoted"
	case v.mem.Phase == v1alpha1.PhaseRollingBack && v.replicaSet(v.mem.StableRevision).Ready == 0 &&
		readyOf(observed.Canary, v.mem.CurrentRevision) > 0:
		return ""
	case v.isAborted():
		return v.retryFirst()
	default:
		return "nothing is in flight"
	}
}

func (v view) retryFirst() string {
	return "revision " + v.mem.AbortedRevision + " is aborted: retry it first"
}
