// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/convert"
)

const convertData = "../convert/testdata/"

// runConvert runs the command as a shell would, and returns what it prints, and its exit code.
func runConvert(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	command := NewConvertCommand(NewOptions(streams))
	command.SilenceErrors = true
	command.SetOut(out)
	command.SetErr(errOut)
	command.SetArgs(args)
	code = Run(t.Context(), command)
	return out.String(), errOut.String(), code
}

func TestConvert(t *testing.T) {
	stdout, stderr, code := runConvert(t, "", "-f", convertData+"argo-gateway/in.yaml")
	if want := readText(t, convertData+"argo-gateway/out.yaml"); stdout != want || code != 0 {
		t.Errorf("exit code %d, output differs (-want +got):\n%s", code, cmp.Diff(want, stdout))
	}
	if want := "in.yaml:4: spec.strategy.canary.trafficRouting.managedRoutes: note:"; !strings.Contains(stderr, want) || strings.Contains(stderr, "error:") {
		t.Errorf("the report does not contain %q, or has an error:\n%s", want, stderr)
	}
}

func TestConvertExitCodes(t *testing.T) {
	exists := t.TempDir()
	if err := os.WriteFile(filepath.Join(exists, "canaryrollout-reviews-rollout.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		stdin string
		args  []string
		code  int
		// stderr is its last line.
		stderr string
	}{
		"losses":         {args: []string{"-f", convertData + "argo-nginx/in.yaml"}, code: 1, stderr: "error: found 0 errors and 12 losses"},
		"errors":         {args: []string{"-f", convertData + "argo-analysis/in.yaml"}, code: 2},
		"no flag":        {code: 2, stderr: "error: name the files to convert, for example: kubectl canary convert -f rollout.yaml"},
		"unknown report": {args: []string{"-f", "-", "--report", "yaml"}, code: 2, stderr: "error: --report yaml is not supported: use text or json"},
		"no file":        {args: []string{"-f", "missing.yaml"}, code: 2, stderr: "error: missing.yaml does not exist"},
		"nothing": {stdin: "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", args: []string{"-f", "-"}, code: 2,
			stderr: "error: there is no object of Argo Rollouts or Flagger in these files, so nothing was converted"},
		"no YAML": {stdin: "a: [", args: []string{"-f", "-"}, code: 2, stderr: "error: found 1 error and 0 losses"},
		"a file exists": {args: []string{"-f", convertData + "argo-gateway/in.yaml", "-o", exists}, code: 2,
			stderr: "error: " + filepath.Join(exists, "canaryrollout-reviews-rollout.yaml") + " exists already: remove it, or name another directory"},
		"an invalid result": {code: 2, stderr: "error: found 1 error and 0 losses", args: []string{"-f", "-"},
			stdin: strings.Replace(readText(t, convertData+"argo-gateway/in.yaml"), "replicas: 4", "replicas: many", 1)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := runConvert(t, tc.stdin, tc.args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if last := lines[len(lines)-1]; code != tc.code || tc.stderr != "" && last != tc.stderr {
				t.Errorf("exit code %d, want %d; stderr:\n%s\nwant\n%s", code, tc.code, stderr, tc.stderr)
			}
		})
	}
}

// TestConvertIntoDirectory checks that there is a file for each object, and that nothing is printed.
func TestConvertIntoDirectory(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "new", "directory")
	stdout, _, code := runConvert(t, "", "-f", convertData+"flagger-gateway/in.yaml", "-o", directory)
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	want := []string{
		"test_canarymetric-error-rate.yaml", "test_canaryrollout-podinfo.yaml", "test_horizontalpodautoscaler-podinfo.yaml",
		"test_httproute-podinfo-rollout.yaml", "test_service-podinfo-rollout-canary.yaml", "test_service-podinfo-rollout-stable.yaml",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || stdout != "" || code != 1 {
		t.Errorf("exit code %d, output %q, files differ (-want +got):\n%s", code, stdout, diff)
	}
	if _, err := runLint(t, "", "-f", directory); err != nil {
		t.Errorf("lint: %v", err)
	}
}

func TestConvertJSON(t *testing.T) {
	_, stderr, code := runConvert(t, "", "-f", convertData+"argo-blue-green/in.yaml", "--report", "json")
	var report []convert.Entry
	if err := json.Unmarshal([]byte(stderr), &report); err != nil || code != convert.ExitCode(report) || code == 0 {
		t.Errorf("exit code %d, error %v:\n%s", code, err, stderr)
	}
	stdin := "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\n"
	_, stderr, code = runConvert(t, stdin, "-f", "-", "--report", "json")
	if err := json.Unmarshal([]byte(stderr), &report); err != nil || code != 2 || report[0].Severity != convert.Error || report[0].File != "stdin" || report[0].Path == "" {
		t.Errorf("exit code %d, error %v:\n%s", code, err, stderr)
	}
}
