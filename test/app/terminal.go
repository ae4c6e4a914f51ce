// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// Terminal is a user's shell in the namespace of an app.
type Terminal struct {
	t *testing.T
	// Dir is where commands run: what is written there can be applied.
	Dir string
}

// Terminal has the kubeconfig of somebody who works in the app's namespace.
func (a *App) Terminal() *Terminal {
	a.t.Helper()
	s := &Terminal{a.t, a.t.TempDir()}
	config, err := clientcmd.LoadFromFile(a.env.Cluster.Kubeconfig(cluster.Admin))
	if err != nil {
		a.t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = a.Namespace
	if err := clientcmd.WriteToFile(*config, filepath.Join(s.Dir, "kubeconfig")); err != nil {
		a.t.Fatal(err)
	}
	return s
}

// Try carries out commands as they would be typed, until one fails.
func (s *Terminal) Try(commands string) (output string, err error) {
	s.t.Helper()
	shell := exec.CommandContext(s.t.Context(), "sh", "-ec", commands)
	shell.Dir = s.Dir
	shell.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(s.Dir, "kubeconfig"))
	all, err := shell.CombinedOutput()
	return string(all), err
}

// Run fails the test when a command fails.
func (s *Terminal) Run(commands string) (output string) {
	s.t.Helper()
	output, err := s.Try(commands)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", commands, err, output)
	}
	return output
}

var commandBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Documented are the blocks of commands between a heading of the documentation and the next one. Tests run two folders
// below the root.
func Documented(t *testing.T, file, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n"+heading+"\n")
	// A comment in a block of commands begins with one number sign, a heading below the title with two or more.
	section, _, _ = strings.Cut(section, "\n##")
	var blocks []string
	for _, match := range commandBlock.FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no commands below %q", file, heading)
	}
	return blocks
}
