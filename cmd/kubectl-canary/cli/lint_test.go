// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// runLint runs the command as a shell would, and returns its output and error.
func runLint(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	streams, in, out, _ := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	command := NewLintCommand(NewOptions(streams))
	command.SilenceErrors = true
	command.SetOut(out)
	command.SetErr(out)
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestLint(t *testing.T) {
	manifest := readText(t, sampleFile)
	broken := strings.NewReplacer("  replicas: 4\n", "  replica: 4\n", "setWeight: 20\n", "setWeight: 200\n").Replace(manifest)
	risky := strings.Replace(manifest, "  replicas: 4\n", "  replicas: 1\n", 1)
	const unchecked = `stdin:1: spec.traffic.stableService: note: Service reviews-stable is not in these files: not checked
stdin:1: spec.traffic.canaryService: note: Service reviews-canary is not in these files: not checked
stdin:1: spec.traffic.routes[0]: note: HTTPRoute bookinfo-reviews is not in these files: not checked
`
	const warning = `stdin:1: spec.replicas: warning: with one replica, a canary of any weight is one pod, and if one of the two pods fails, nothing serves its share: set replicas to 2 or more
`
	tests := map[string]struct {
		stdin     string
		args      []string
		want, err string
	}{
		"the sample":     {args: []string{"-f", sample.Path("")}},
		"the rollout":    {stdin: manifest, args: []string{"-f", "-"}, want: unchecked},
		"risks":          {stdin: risky, args: []string{"-f", "-"}, want: unchecked + warning},
		"risks, strict":  {stdin: risky, args: []string{"-f", "-", "--strict"}, want: unchecked + warning, err: "found 0 errors and 1 warning"},
		"notes, strict":  {stdin: manifest, args: []string{"-f", "-", "--strict"}, want: unchecked},
		"no flag":        {err: "name the files to check, for example: kubectl canary lint -f deploy/"},
		"unknown output": {args: []string{"-f", "-", "-o", "yaml"}, err: "-o yaml is not supported: use text or json"},
		"nothing":        {stdin: "apiVersion: v1\nkind: Service\n", args: []string{"-f", "-"}, err: "there is no CanaryRollout and no CanaryMetric in these files, so nothing was checked"},
		"another tool": {stdin: "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: old}\n", args: []string{"-f", "-"},
			want: "stdin:1: note: not checked: Rollout old is an object of Argo: kubectl canary convert converts it\n",
			err:  "there is no CanaryRollout and no CanaryMetric in these files, so nothing was checked"},
		"errors": {stdin: broken, args: []string{"-f", "-"}, err: "found 2 errors and 0 warnings",
			want: `stdin:1: spec.replica: unknown field "spec.replica": did you mean replicas?
stdin:1: spec.steps[5].setWeight: Invalid value: 200: should be less than or equal to 100
`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := runLint(t, tc.stdin, tc.args...)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("output differs (-want +got):\n%s", diff)
			}
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || err.Error() != tc.err) {
				t.Errorf("got error %v, want %q", err, tc.err)
			}
		})
	}
}

func TestLintOutput(t *testing.T) {
	for _, stdin := range []string{readText(t, sampleFile), "apiVersion: canaryrollout.dev/v1\nkind: CanaryRollout\nmetadata: {name: a}\n"} {
		text, err := runLint(t, stdin, "-f", "-", "-o", "json")
		var got []lint.Finding
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) == 0 {
			t.Fatalf("%v:\n%s", err, text)
		}
		if first := got[0]; first.File != "stdin" || first.Document != 1 || first.ID == "" || (first.Severity == lint.Error) != (err != nil) {
			t.Errorf("got %+v, error %v", first, err)
		}
	}
	if text, err := runLint(t, "", "-f", sample.Path(""), "-o", "json"); err != nil || text != "[]\n" {
		t.Errorf("got %q, error %v", text, err)
	}
}
