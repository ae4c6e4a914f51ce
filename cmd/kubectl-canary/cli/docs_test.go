// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandsAreDocumented requires a section in docs/cli.md or docs/planning.md for every command, and a mention of
// each of its flags.
func TestCommandsAreDocumented(t *testing.T) {
	var text string
	for _, page := range []string{"cli.md", "planning.md"} {
		content, err := os.ReadFile("../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	common := []string{"help", "output", "template", "allow-missing-template-keys", "show-managed-fields"}
	var check func(*cobra.Command, string)
	check = func(command *cobra.Command, path string) {
		for _, sub := range command.Commands() {
			check(sub, strings.TrimSpace(path+" "+sub.Name()))
		}
		if path == "" || command.HasSubCommands() {
			return
		}
		if !strings.Contains(text, "## "+path+"\n") {
			t.Errorf("neither docs/cli.md nor docs/planning.md has a section for %s", path)
		}
		command.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
			isSaid := strings.Contains(text, "--"+flag.Name) || flag.Shorthand != "" && strings.Contains(text, "`-"+flag.Shorthand)
			for _, name := range common {
				isSaid = isSaid || name == flag.Name
			}
			if !isSaid {
				t.Errorf("the documentation says nothing of --%s of %s", flag.Name, path)
			}
		})
	}
	check(NewCommand(newBench(t).options), "")
}
