// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// command is an annotation as kubectl annotate sets it: key=value, without the domain.
func command(text string) change {
	return func(in *Input) {
		switch key, value, _ := strings.Cut(text, "="); key {
		case "abort":
			in.Commands.Abort = &value
		case "retry":
			in.Commands.Retry = &value
		default:
			in.Commands.Promote = &value
		}
	}
}

func aborted(revision string) change {
	return func(in *Input) {
		in.Prior.Memory.AbortedRevision, in.Prior.Memory.AbortReason = revision, "by hand"
		set(revision, func(rs *ReplicaSet) { rs.Marks.AbortReason = "by hand" })(in)
	}
}

// ignored are the Warnings about commands that are not carried out.
func ignored(plan Plan) []string {
	var why []string
	for _, event := range eventsOf(plan) {
		if event.Reason == EventCommandIgnored && event.Warning {
			why = append(why, event.Message)
		}
	}
	return why
}

// What commands are refused for.
const (
	whyIsFirst     = "the first deploy has no stable revision to roll back to: apply another template"
	whyIsIdle      = "nothing is in flight"
	whyIsOver      = "nothing is in flight; to roll back, apply the previous template: its pods may still be running, and promote=full skips the steps"
	whyNoPause     = "the rollout is not at a pause or an analysis step"
	whyNoAbort     = "nothing is aborted"
	whyIsReturning = "all traffic is already returning to revision a"
	whyIsAborted   = "revision b is already aborted"
	whyIsPromoting = "revision b is already being promoted"
	whyRetryFirst  = "revision b is aborted: retry it first"
	whyAtStable    = "the rollout is at a/1"
	whyOther       = "it is for revision b, but the rollout is at revision a"
)

// commandState is a state that commands come in; want is why each of commandTexts is refused in it, empty where it is
// accepted.
type commandState struct {
	name string
	in   Input
	want [6]string
}

var commandTexts = [6]string{"abort=true", "retry=true", "promote=true", "promote=full", "promote=b/1", "promote=b/full"}

func commandStates() []commandState {
	hold := func(in *Input) { in.Spec.Paused = true }
	return []commandState{
		{"first deploy", firstDeploy(), [6]string{whyIsFirst, whyNoAbort, whyNoPause, whyIsPromoting, whyNoPause, whyIsPromoting}},
		{"idle", idle(), [6]string{whyIsOver, whyNoAbort, whyNoPause, whyIsIdle, whyAtStable, whyOther}},
		{"a new template, held by spec.paused", changed(idle(), template("b"), hold), [6]string{"", whyNoAbort, heldBySpec, heldBySpec, whyAtStable, whyOther}},
		{"at a weight step", midway(20, weight(20)), [6]string{"", whyNoAbort, whyNoPause, "", whyNoPause, ""}},
		{"at a pause", midway(20, pause(0)), [6]string{"", whyNoAbort, "", "", "", ""}},
		{"at a pause, held by spec.paused", changed(midway(20, pause(0)), hold), [6]string{"", whyNoAbort, heldBySpec, heldBySpec, heldBySpec, heldBySpec}},
		{"the last step is done", midway(20), [6]string{"", whyNoAbort, whyNoPause, "", whyNoPause, ""}},
		{"being promoted", promoting(100), [6]string{"", whyNoAbort, whyNoPause, whyIsPromoting, whyNoPause, whyIsPromoting}},
		{"being superseded by a newer template", changed(rollingBack(20), template("c")), [6]string{"", whyNoAbort, whyNoPause, whyIsIdle, whyNoPause, whyIsIdle}},
		{"being reverted to the stable template", changed(rollingBack(20), template("a")), [6]string{whyIsReturning, whyNoAbort, whyNoPause, whyIsIdle, whyNoPause, whyIsIdle}},
		{"being aborted", changed(rollingBack(20), aborted("b")), [6]string{whyIsAborted, "", whyRetryFirst, whyRetryFirst, whyRetryFirst, whyRetryFirst}},
		{"aborted", changed(idle(), template("b"), aborted("b")), [6]string{whyIsAborted, "", whyRetryFirst, whyRetryFirst, whyRetryFirst, whyRetryFirst}},
		{"being aborted, stable has no ready pod", changed(rollingBack(20), alive("a", 0), aborted("b")), [6]string{whyIsAborted, "", whyRetryFirst, "", whyRetryFirst, ""}},
		{"being aborted, neither has a ready pod", changed(rollingBack(20), alive("a", 0), alive("b", 0), aborted("b")), [6]string{whyIsAborted, "", whyRetryFirst, whyRetryFirst, whyRetryFirst, whyRetryFirst}},
	}
}

// TestCommandTable checks every command in every state: accepted, or refused and why. Argo Rollouts accepted a full promotion
// of a paused rollout, and did not finish it (argo-rollouts#2648, #4265).
func TestCommandTable(t *testing.T) {
	for _, state := range commandStates() {
		for i, text := range commandTexts {
			t.Run(state.name+" "+text, func(t *testing.T) { checkCommand(t, state.in, text, state.want[i]) })
		}
	}
}

// The place of the table of commands in the documentation.
const (
	commandsFile  = "../../docs/concepts.md"
	commandsBegin = "<!-- begin of the table made by TestCommandDocs -->\n"
	commandsEnd   = "<!-- end of the table -->\n"
)

// TestCommandDocs checks that the table in the documentation matches TestCommandTable; go test -update writes it.
func TestCommandDocs(t *testing.T) {
	content, err := os.ReadFile(commandsFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := strings.Cut(string(content), commandsBegin)
	_, tail, ends := strings.Cut(rest, commandsEnd)
	if !begins || !ends {
		t.Fatalf("%s has lost the marks that this test goes by", commandsFile)
	}
	golden.Check(t, commandsFile, head+commandsBegin+commandTable()+commandsEnd+tail)
}

// commandTable names the Event of an accepted command, and refers to a list below for why another one is refused.
func commandTable() string {
	text := "| The rollout is | STATE |"
	for _, command := range commandTexts {
		text += " `" + strings.NewReplacer("b/1", "REVISION/STEP", "b/full", "REVISION/full").Replace(command) + "` |"
	}
	text += "\n|" + strings.Repeat(" --- |", len(commandTexts)+2) + "\n"
	var reasons []string
	for _, state := range commandStates() {
		text += fmt.Sprintf("| %s | %s |", state.name, ComputeMove(state.in).Status.State)
		for i, command := range commandTexts {
			if why := state.want[i]; why != "" {
				if !slices.Contains(reasons, why) {
					reasons = append(reasons, why)
				}
				text += fmt.Sprintf(" refused (%d) |", 1+slices.Index(reasons, why))
				continue
			}
			text += " `" + carriedOut(state.in, command) + "` |"
		}
		text += "\n"
	}
	text += "\nA refused command is answered by the Event `CommandIgnored` with the reason, here for a stable revision a and a canary b:\n\n"
	for i, why := range reasons {
		text += fmt.Sprintf("%d. %s\n", i+1, why)
	}
	return text
}

// carriedOut is the Event of a command that is accepted: of the pass that accepts it, or of the next.
func carriedOut(in Input, text string) string {
	in.Prior.Memory = in.Prior.Memory.DeepCopy()
	command(text)(&in)
	for range 2 {
		got := Compute(in)
		for _, event := range got.Events {
			if slices.Contains([]string{EventAborting, EventRetried, EventResumed, EventPromoting}, event.Reason) {
				return event.Reason
			}
		}
		in.Prior = got.Status
	}
	return ""
}

// checkCommand checks that an accepted command is written to memory and its annotation left for the next pass, and that the
// annotation of a refused command is removed with a Warning.
func checkCommand(t *testing.T, in Input, text, refused string) {
	t.Helper()
	in.Prior.Memory = in.Prior.Memory.DeepCopy()
	command(text)(&in)
	got := Compute(in)
	removals := 0
	for _, action := range got.Actions {
		if _, is := action.(RemoveAnnotations); is {
			removals++
		}
	}
	if refused != "" {
		want := []string{"canaryrollout.dev/" + text + " is ignored: " + refused}
		if diff := cmp.Diff(want, ignored(got)); diff != "" || removals != 1 || got.Status.Memory.Command != nil {
			t.Errorf("%d removals, memory %v (-want +got):\n%s", removals, got.Status.Memory.Command, diff)
		}
		return
	}
	if got.Status.Memory.Command == nil || removals > 0 || ignored(got) != nil {
		t.Fatalf("not accepted: %d removals, %v", removals, ignored(got))
	}
	mem := in.Prior.Memory
	if c := got.Status.Memory.Command; c.Revision != mem.CurrentRevision || c.StepIndex != mem.StepIndex {
		t.Errorf("given for %s at %d, want %s at %d", c.Revision, c.StepIndex, mem.CurrentRevision, mem.StepIndex)
	}
}

// TestCommandValues checks the values that make no sense.
func TestCommandValues(t *testing.T) {
	for text, refused := range map[string]string{
		"abort=": "the value must be true, or a reason", "abort=false": "the value must be true, or a reason",
		"abort=too slow": "", "retry=yes": "the value must be true", "promote=b/2": "the rollout is at b/1", "promote=c/1": "the rollout is at b/1",
		"promote=b/full": "", "promote=c/full": "it is for revision c, but the rollout is at revision b", "promote=/full": "it is for revision , but the rollout is at revision b",
		"promote=b/fully": "the rollout is at b/1",
		"promote=yes":     "the value must be true, full, or a revision and a step number, as in b/1",
		"promote=":        "the value must be true, full, or a revision and a step number, as in b/1",
	} {
		t.Run(text, func(t *testing.T) { checkCommand(t, midway(20, pause(0)), text, refused) })
	}
}

// TestCommandAfterCommand checks that a retry right after an abort is a command of its own, even if it arrives before the
// status write that removes the abort.
func TestCommandAfterCommand(t *testing.T) {
	in := changed(idle(), template("b"), aborted("b"), command("retry=true"))
	in.Prior.Memory.Command = &v1alpha1.CommandMemory{
		Command: v1alpha1.CommandAbort, Revision: "b",
		Annotations: []v1alpha1.CommandAnnotation{{Key: v1alpha1.AbortAnnotation, Value: "true"}},
	}
	for range 3 {
		plan := Compute(in)
		for _, action := range plan.Actions {
			if _, removes := action.(RemoveAnnotations); removes && plan.Status.Memory.AbortedRevision != "" {
				t.Fatal("the retry is removed and not carried out")
			}
		}
		in.Prior = plan.Status
	}
	if got := in.Prior.Memory.AbortedRevision; got != "" {
		t.Errorf("revision %s is still aborted", got)
	}
}

// TestCarriedOut checks the second of the two passes: the annotation is removed and the command is carried out, once, for the
// step that it was given for, even after a crash between the removal and the status write.
func TestCarriedOut(t *testing.T) {
	given := func(c v1alpha1.Command, revision string, step int32, texts ...string) change {
		return func(in *Input) {
			in.Prior.Memory.Command = &v1alpha1.CommandMemory{Command: c, Revision: revision, StepIndex: step}
			for _, text := range texts {
				key, value, _ := strings.Cut(text, "=")
				in.Prior.Memory.Command.Annotations = append(in.Prior.Memory.Command.Annotations,
					v1alpha1.CommandAnnotation{Key: "canaryrollout.dev/" + key, Value: value})
				command(text)(in)
			}
		}
	}
	atPause := func(changes ...change) Input { return changed(midway(20, pause(0), pause(0)), changes...) }
	gone := changed(idle(), template("b"), aborted("b"))
	removed := func(key string) []string { return []string{"RemoveAnnotations canaryrollout.dev/" + key} }
	for name, tc := range map[string]planCase{
		"promote":               {in: atPause(given("Promote", "b", 0, "promote=true")), targets: "Stepping 1: 20% a/b", actions: removed("promote")},
		"promote, set again":    {in: atPause(given("Promote", "b", 0, "promote=true"), command("promote=b/2")), targets: "Stepping 1: 20% a/b"},
		"retry set since":       {in: atPause(given("Promote", "b", 0, "promote=true"), command("retry=true")), targets: "Stepping 1: 20% a/b", actions: removed("promote")},
		"promote after a crash": {in: atPause(given("Promote", "b", 0)), targets: "Stepping 1: 20% a/b"},
		"promote is over":       {in: atPause(given("Promote", "b", 1)), targets: "Stepping 0: 20% a/b"},
		"promote of another":    {in: atPause(given("Promote", "c", 0)), targets: "Stepping 0: 20% a/b"},
		"promote at no pause":   {in: changed(midway(20, weight(20)), given("Promote", "b", 0)), targets: "Stepping 0: 20% a/b"},
		"promote=full":          {in: atPause(given("PromoteFull", "b", 0, "promote=full")), targets: "Promoting 2: 20% a/b", actions: removed("promote")},
		"abort":                 {in: changed(rollingBack(0), aborted("b"), given("Abort", "b", 0, "abort=true")), targets: "RollingBack 0: 0% a/a aborted b", actions: removed("abort")},
		"abort outranks":        {in: atPause(given("Promote", "b", 0, "promote=true"), command("abort=true")), targets: "RollingBack 0: 0% a/b aborted b"},
		"retry":                 {in: changed(gone, given("Retry", "a", 0, "retry=true")), targets: "Stepping 0: 0% a/a", actions: removed("retry")},
	} {
		t.Run(name, func(t *testing.T) {
			tc.check(t)
			if c := Compute(tc.in).Status.Memory.Command; c != nil && c.Command != v1alpha1.CommandAbort {
				t.Errorf("%s is still in memory", c.Command)
			}
		})
	}
	over := Compute(atPause(given("Promote", "b", 1)))
	if diff := cmp.Diff([]string{"Promote was given for step 2 of revision b, which is over"}, ignored(over)); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

// TestSeveralCommands checks the precedence: abort, retry, promote. The others are removed by the same patch, with a Warning.
func TestSeveralCommands(t *testing.T) {
	another := " is ignored: another command came first"
	for name, tc := range map[string]struct {
		in   Input
		want v1alpha1.Command
		lost []string
	}{
		"all": {
			changed(midway(20, pause(0)), command("abort=true"), command("retry=true"), command("promote=true")), v1alpha1.CommandAbort,
			[]string{"canaryrollout.dev/retry=true" + another, "canaryrollout.dev/promote=true is ignored: " + whyRetryFirst},
		},
		"retry and promote": {
			changed(idle(), template("b"), aborted("b"), command("retry=true"), command("promote=full")), v1alpha1.CommandRetry,
			[]string{"canaryrollout.dev/promote=full is ignored: " + whyRetryFirst},
		},
		"only one makes sense": {
			changed(midway(20, pause(0)), command("abort=false"), command("promote=true")), v1alpha1.CommandPromote,
			[]string{"canaryrollout.dev/abort=false is ignored: the value must be true, or a reason"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			accepted := Compute(tc.in)
			if got := accepted.Status.Memory.Command; got == nil || got.Command != tc.want {
				t.Fatalf("accepted %v, want %s", got, tc.want)
			}
			tc.in.Prior = accepted.Status
			got := Compute(tc.in)
			if diff := cmp.Diff(strings.Join(tc.lost, "; "), strings.Join(ignored(got), "")); diff != "" {
				t.Errorf("warnings differ (-want +got):\n%s", diff)
			}
			var removed []string
			for _, action := range got.Actions {
				if removal, is := action.(RemoveAnnotations); is {
					removed = append(removed, removal.Keys...)
				}
			}
			if len(removed) != len(tc.lost)+1 {
				t.Errorf("removed %v", removed)
			}
		})
	}
}

// TestAbortReason checks that an abort keeps the user's words, and that a release is aborted even before it began.
func TestAbortReason(t *testing.T) {
	for value, want := range map[string]string{"true": "by hand", "too many errors": "too many errors"} {
		got := Compute(changed(midway(20, pause(0)), command("abort="+value))).Status
		if entry := got.History[0]; got.Memory.AbortReason != want || entry.Outcome != v1alpha1.OutcomeAborted || entry.Message != want {
			t.Errorf("%s: %q, history %+v", value, got.Memory.AbortReason, entry)
		}
	}
	held := changed(idle(), template("b"), func(in *Input) { in.Spec.Paused, in.Commands.Abort = true, ptr.To("true") })
	planCase{in: held, targets: "Idle 0: 0% a/a aborted b"}.check(t)
}
