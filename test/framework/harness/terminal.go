// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// Terminal is a user's shell in a namespace.
type Terminal struct {
	t *testing.T
	// Dir is the working directory of commands. Files written there can be applied.
	Dir string
	// Variables are added to the environment, as NAME=VALUE.
	Variables []string
}

// Terminal returns a shell with the kubeconfig of a user who works in the namespace.
func (e *Env) Terminal(t *testing.T, namespace string) *Terminal {
	t.Helper()
	config, err := clientcmd.LoadFromFile(e.Cluster.Kubeconfig(cluster.Admin))
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	return &Terminal{t: t, Dir: t.TempDir(), Variables: []string{"KUBECONFIG=" + kubeconfig}}
}

// Install adds a program to the PATH, by the name that users type.
func (s *Terminal) Install(name, program string) {
	s.t.Helper()
	folder := filepath.Join(s.Dir, "programs")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.Symlink(program, filepath.Join(folder, name))); err != nil {
		s.t.Fatal(err)
	}
	s.Variables = append(s.Variables, "PATH="+folder+":"+os.Getenv("PATH"))
}

// Terminal returns a shell in the app's namespace.
func (a *App) Terminal() *Terminal {
	a.t.Helper()
	return a.env.Terminal(a.t, a.Namespace)
}

func (s *Terminal) shell(ctx context.Context, commands string) *exec.Cmd {
	shell := exec.CommandContext(ctx, "sh", "-ec", commands)
	shell.Dir = s.Dir
	shell.Env = append(os.Environ(), s.Variables...)
	return shell
}

// Try runs commands as if they were typed, until one fails.
func (s *Terminal) Try(commands string) (output string, err error) {
	s.t.Helper()
	all, err := s.shell(s.t.Context(), commands).CombinedOutput()
	return string(all), err
}

// Run runs commands, and fails the test if one fails.
func (s *Terminal) Run(commands string) (output string) {
	s.t.Helper()
	output, err := s.Try(commands)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", commands, err, output)
	}
	return output
}

// Start runs commands, the last of which runs until Ctrl-C, and returns once they have printed the text until. The
// returned function sends Ctrl-C; otherwise the end of the test does.
func (s *Terminal) Start(commands, until string) (interrupt func()) {
	s.t.Helper()
	shell, screen := s.shell(context.Background(), commands), &screen{until: until, seen: make(chan struct{})}
	shell.Stdout, shell.Stderr = screen, screen
	// A terminal sends Ctrl-C to all processes that run in it.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = shell.Wait() // the result after Ctrl-C does not matter
		close(ended)
	}()
	interrupt = func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGINT)
		<-ended
	}
	s.t.Cleanup(interrupt)
	select {
	case <-screen.seen:
	case <-ended:
		s.t.Fatalf("%s has ended before it showed %q:\n%s", commands, until, screen.text.String())
	}
	return interrupt
}

// screen waits for a text in what is printed.
type screen struct {
	until string
	seen  chan struct{}
	text  strings.Builder
	found bool
}

func (s *screen) Write(shown []byte) (int, error) {
	s.text.Write(shown)
	if !s.found && strings.Contains(s.text.String(), s.until) {
		s.found = true
		close(s.seen)
	}
	return len(shown), nil
}

var commandBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// Documented returns the command blocks of one section of the documentation. Tests run two folders below the root.
func Documented(t *testing.T, file, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n"+heading+"\n")
	// In a command block, a comment starts with one number sign. A heading below the title has two or more.
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
