// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":                       "plain\ttext\n",
		"\x1b[32mgreen\x1b[0m ✔":              "\x1b[32mgreen\x1b[0m ✔",
		"a\x1b[2Jb\x1b]0;title\x07c":          "a[2Jb]0;titlec",
		"a\rb\x08\x7f\u009b2Jc":               "ab2Jc",
		"reviews\u202egpj.\u202c \u2066x":     "reviewsgpj. x",
		"\x1b\x1b[1m[2Jx":                     "\x1b[1m[2Jx",
		"\x1b[38;5;1mx\x1b[?1049h\x1b[31mred": "[38;5;1mx[?1049h\x1b[31mred",
		"":                                    "",
	} {
		if got := safe(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// hostile takes over a terminal, and starts a line of its own.
const hostile = "\x1b[2J\x1b]0;owned\x07\r\u202eall well\nName: fine"

// TestClusterTextsAreSafe checks that no text in an object or from a webhook can move the cursor or forge a line.
func TestClusterTextsAreSafe(t *testing.T) {
	rollout := &v1alpha1.CanaryRollout{}
	rollout.Namespace, rollout.Name = "books", "reviews"
	rollout.Status.State, rollout.Status.Message = v1alpha1.StateDegraded, hostile
	rollout.Status.Images, rollout.Status.Revision = hostile, hostile
	rollout.Status.History = []v1alpha1.HistoryEntry{{Revision: "abc", Images: hostile, Message: hostile}}
	for name, text := range map[string]string{
		"get":     view.Rollout{Object: rollout}.Render(view.Style{Rich: true, Width: 200}, now),
		"list":    view.List(view.Style{}, []v1alpha1.CanaryRollout{*rollout}, true, now),
		"history": view.History(view.Style{}, rollout, now),
		"status":  view.Line(view.Style{}, rollout, ""),
	} {
		var out bytes.Buffer
		o := NewOptions(genericiooptions.IOStreams{Out: &out})
		if err := o.print(text); err != nil {
			t.Fatal(err)
		}
		if got := painted.ReplaceAllString(out.String(), ""); strings.ContainsAny(got, "\x1b\x07\r\u202e") {
			t.Errorf("%s prints %q", name, got)
		}
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "Name: fine") {
				t.Errorf("%s has a line that somebody made up:\n%s", name, out.String())
			}
		}
	}
	var errOut bytes.Buffer
	failing := &cobra.Command{RunE: func(*cobra.Command, []string) error { return errors.New(hostile) }, SilenceErrors: true, SilenceUsage: true}
	failing.SetArgs(nil)
	failing.SetErr(NewOptions(genericiooptions.IOStreams{ErrOut: &errOut}).ErrOut)
	Run(t.Context(), failing)
	if strings.ContainsAny(errOut.String(), "\x1b\x07\r\u202e") {
		t.Errorf("an error prints %q", errOut.String())
	}
}

// TestFileTextsAreSafe checks that no command lets someone else's manifest move the cursor or forge a finding.
func TestFileTextsAreSafe(t *testing.T) {
	name, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	foreign := "\n---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: " + string(name) + "}\n"
	refused := "apiVersion: canaryrollout.dev/v1\nkind: " + string(name) + "\nmetadata: {name: a}\n"
	for _, stdin := range []string{readText(t, sampleFile) + foreign, refused} {
		for _, args := range []string{"lint -f -", "plan -f -"} {
			streams, in, out, errOut := genericiooptions.NewTestIOStreams()
			in.WriteString(stdin)
			command := NewCommand(NewOptions(streams))
			command.SetArgs(strings.Fields(args))
			Run(t.Context(), command)
			got := out.String() + errOut.String()
			if strings.ContainsAny(got, "\x1b\x07\r\u202e") || strings.Contains(got, "\nName: fine") || !strings.Contains(got, "all well Name: fine") {
				t.Errorf("%s prints %q", args, got)
			}
		}
	}
}

// TestDataIsUnchanged checks that output for programs is exactly what the object contains. In a terminal it is as safe
// as any other text.
func TestDataIsUnchanged(t *testing.T) {
	const text = "a\u202eb"
	foreign := "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: " + text + "}\n"
	for _, isTerminal := range []bool{false, true} {
		b := newBench(t, paused(), func() client.Object {
			other := paused()
			other.Name, other.Annotations = "ratings", map[string]string{"note": text}
			return other
		}())
		b.options.Size = func() (int, int, bool) { return 80, 24, isTerminal }
		b.options.In = strings.NewReader(foreign)
		for _, args := range [][]string{
			{"get", "ratings", "-o", "jsonpath={.metadata.annotations.note}"}, {"list", "-o", "json"},
			{"pause", "ratings", "-o", "json"}, {"lint", "-f", "-", "-o", "json"},
		} {
			_, out, errOut := b.run(args...)
			if out == "" || strings.Contains(out, text) == isTerminal {
				t.Errorf("%v, terminal %t: got %q %s", args, isTerminal, out, errOut)
			}
		}
	}
}
