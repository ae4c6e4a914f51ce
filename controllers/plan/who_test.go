// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// users names who applied the template and who gave the commands.
func users(in *Input) {
	in.Users = Users{AppliedBy: "alice", PromotedBy: "bob", AbortedBy: "carol", RetriedBy: "dave"}
}

// whoIn formats who started and who ended each release, newest first.
func whoIn(history []v1alpha1.HistoryEntry) []string {
	var all []string
	for _, entry := range history {
		all = append(all, fmt.Sprintf("%s %s: %s, %s", entry.Revision, entry.Outcome, entry.StartedBy, entry.EndedBy))
	}
	return all
}

// inFlight has a release of b in the history that erin started.
func inFlight(in *Input) {
	in.Prior.History = []v1alpha1.HistoryEntry{{Revision: "b", Outcome: v1alpha1.OutcomeInProgress, StartedBy: "erin"}}
}

// TestWho checks who started and who ended each release. A pass that accepts a command is followed by one that carries it out,
// which still sees the annotations unless a crash came in between.
func TestWho(t *testing.T) {
	gone := func(in *Input) { in.Users = Users{AppliedBy: "alice"}; in.Commands = Commands{} }
	atEnd := memory(func(m *v1alpha1.Memory) { m.PromotedBy = "bob" })
	committing := func(changes ...change) Input {
		return changed(promoting(0), slices.Concat([]change{pods("b", 4), stableAt("b"), inFlight, users}, changes)...)
	}
	failing := changed(midway(20, v1alpha1.Step{Pause: &v1alpha1.Pause{Timeout: &metav1.Duration{Duration: time.Minute}, OnTimeout: v1alpha1.TimeoutAbort}}), inFlight, users)
	for name, tc := range map[string]struct {
		in   Input
		then change
		want []string
	}{
		"a template starts a release":        {in: changed(idle(pause(0)), template("b"), users), want: []string{"b InProgress: alice, "}},
		"nobody is named":                    {in: changed(idle(pause(0)), template("b")), want: []string{"b InProgress: , "}},
		"an abort":                           {in: changed(midway(20, pause(0)), inFlight, users, command("abort=slow")), want: []string{"b Aborted: erin, carol"}},
		"an abort before the release":        {in: changed(idle(pause(0)), template("b"), users, command("abort=slow")), want: []string{"b Aborted: alice, carol"}},
		"an abort by itself":                 {in: failing, want: []string{"b Aborted: erin, "}},
		"a newer template":                   {in: changed(midway(20, pause(0)), inFlight, users, template("c")), want: []string{"b Superseded: erin, alice"}},
		"the stable template":                {in: changed(midway(20, pause(0)), inFlight, users, template("a")), want: []string{"b Reverted: erin, alice"}},
		"a newer template that is aborted":   {in: changed(midway(20, pause(0)), inFlight, users, template("c"), command("abort=slow")), want: []string{"c Aborted: alice, carol", "b Superseded: erin, alice"}},
		"a promote says nothing in between":  {in: changed(midway(20, pause(0), pause(0)), inFlight, users, command("promote=true")), then: gone, want: []string{"b InProgress: erin, "}},
		"a promotion by hand":                {in: committing(atEnd), want: []string{"b Promoted: erin, bob"}},
		"a promotion by itself":              {in: committing(), want: []string{"b Promoted: erin, "}},
		"a retry":                            {in: changed(idle(pause(0)), template("b"), aborted("b"), users, command("retry=true")), then: gone, want: []string{"b InProgress: dave, "}},
		"a template after a promote by hand": {in: changed(midway(20, pause(0)), inFlight, users, atEnd, template("c")), want: []string{"b Superseded: erin, alice"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := tc.in
			for range 2 {
				plan := Compute(in)
				in.Prior = plan.Status
				if tc.then != nil {
					tc.then(&in)
				}
			}
			if diff := cmp.Diff(tc.want, whoIn(in.Prior.History)); diff != "" {
				t.Errorf("who (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhoPromoted: who gave the last promote command is known until the release ends, and not for the next one.
func TestWhoPromoted(t *testing.T) {
	for _, text := range []string{"promote=true", "promote=full"} {
		in := changed(midway(20, pause(0)), inFlight, users, command(text))
		in.Prior = Compute(in).Status
		if by := in.Prior.Memory.Command.User; by != "bob" {
			t.Errorf("%s was given by %q", text, by)
		}
		removal := Compute(in).Actions[0].(RemoveAnnotations)
		if want := []string{v1alpha1.PromoteAnnotation, v1alpha1.PromotedByAnnotation}; !slices.Equal(removal.Keys, want) {
			t.Errorf("%v are removed, want %v", removal.Keys, want)
		}
		in.Users, in.Commands = Users{}, Commands{} // as after a crash between the removal and the status
		mem := Compute(in).Status.Memory
		if mem.PromotedBy != "bob" || mem.Command != nil {
			t.Errorf("%s: promoted by %q", text, mem.PromotedBy)
		}
	}
	over := changed(promoting(0), pods("b", 4), stableAt("b"), inFlight, memory(func(m *v1alpha1.Memory) { m.PromotedBy = "bob" }))
	if mem := Compute(over).Status.Memory; mem.StableRevision != "b" || mem.PromotedBy != "" {
		t.Errorf("%s is stable, and the next release is promoted by %q", mem.StableRevision, mem.PromotedBy)
	}
}

// TestUserNames: a name is bounded, and has nothing that a terminal would act on.
func TestUserNames(t *testing.T) {
	in := changed(idle(pause(0)), template("b"), func(in *Input) { in.Users.AppliedBy = "al\x1b[31mi\u202ece\n" + strings.Repeat("e", 1000) })
	got := Compute(in).Status.History[0].StartedBy
	if !strings.HasPrefix(got, "al[31micee") || len(got) != maxUser {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
