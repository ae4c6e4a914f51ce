// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package uninstall tests what make undeploy and make uninstall check before they remove anything.
package uninstall

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck: nothing is removed if there are rollouts, or if that is unknown.
func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		crd, rollouts string // what kubectl prints, or its error after a "!"
		want          string // the expected refusal; empty if there is none
	}{
		"no CRD":               {"", "!no such resource", ""},
		"no rollouts":          {"canaryrollouts.canaryrollout.dev", "", ""},
		"rollouts":             {"canaryrollouts.canaryrollout.dev", "books   reviews", "Refused: these CanaryRollouts would be left"},
		"no answer":            {"!connection refused", "", "connection refused"},
		"no right to see them": {"canaryrollouts.canaryrollout.dev", "!forbidden", "forbidden"},
	} {
		folder := t.TempDir()
		script := "#!/bin/sh\ncase $2 in customresourcedefinition) " + says(tc.crd) + ";; *) " + says(tc.rollouts) + ";; esac\n"
		if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "./check.sh")
		command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"))
		output, err := command.CombinedOutput()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(string(output), tc.want)) {
			t.Errorf("%s: %v\n%s\nwant %q", name, err, output, tc.want)
		}
	}
}

func says(text string) string {
	if message, fails := strings.CutPrefix(text, "!"); fails {
		return "echo '" + message + "' >&2; exit 1"
	}
	return "echo '" + text + "'"
}
