// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// page runs the commands of a page of the documentation in a terminal. Each command is run or skipped with a reason. Any
// other command fails the test, so a new one cannot be forgotten.
type page struct {
	*harness.Terminal
	t        *testing.T
	name     string
	commands []*command
	text     string
}

// command is a block of commands, or one command after a prompt in a block that shows a dialogue.
type command struct {
	text string
	done bool
}

var (
	block  = regexp.MustCompile("(?ms)^ *```(sh|console)\n(.*?)^ *```")
	yaml   = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	prompt = regexp.MustCompile(`(?m)^ *\$ (.*)$`)
)

// read opens a page, named by its path in the repository. The folder of the terminal has the files of a clone.
func read(t *testing.T, terminal *harness.Terminal, name string) *page {
	t.Helper()
	p := &page{Terminal: terminal, t: t, name: name}
	wasRead.Store(name, true)
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	p.text = string(text)
	for _, match := range block.FindAllStringSubmatch(p.text, -1) {
		if match[1] == "sh" {
			p.commands = append(p.commands, &command{text: match[2]})
			continue
		}
		for _, typed := range prompt.FindAllStringSubmatch(match[2], -1) {
			p.commands = append(p.commands, &command{text: typed[1]})
		}
	}
	return p
}

// wasRead has the names of all pages that a test has read.
var wasRead sync.Map

// manifest returns the first manifest of the page that contains a text.
func (p *page) manifest(contains string) string {
	p.t.Helper()
	for _, match := range yaml.FindAllStringSubmatch(p.text, -1) {
		if strings.Contains(match[1], contains) {
			return match[1]
		}
	}
	p.t.Fatalf("%s has no manifest with %q", p.name, contains)
	return ""
}

// next returns the first command with this beginning that was not used yet.
func (p *page) next(begin string) string {
	p.t.Helper()
	for _, c := range p.commands {
		if !c.done && strings.HasPrefix(c.text, begin) {
			c.done = true
			return c.text
		}
	}
	p.t.Fatalf("%s has no more commands that begin with %q", p.name, begin)
	return ""
}

// run runs the next block with this beginning.
func (p *page) run(begin string) (output string) {
	p.t.Helper()
	return p.Run(p.next(begin))
}

// refused runs a command that is documented to fail.
func (p *page) refused(begin, says string) {
	p.t.Helper()
	text := p.next(begin)
	output, err := p.Try(text)
	if err == nil || !strings.Contains(output, says) {
		p.t.Errorf("%s: %v, want it refused with %q:\n%s", text, err, says, output)
	}
}

// watch runs the next block with this beginning, whose last command runs until Ctrl-C, and ends it when it has printed a
// text.
func (p *page) watch(begin, until string) {
	p.t.Helper()
	p.Start(p.next(begin), until)()
}

// lines returns the commands of a block of alternatives, which are not meant to run one after the other.
func (p *page) lines(begin string) []string {
	p.t.Helper()
	return strings.Split(strings.TrimSpace(p.next(begin)), "\n")
}

// leave skips a block for a reason.
func (p *page) leave(begin, reason string) {
	p.t.Helper()
	p.t.Logf("%s, skipped: %s: %s", p.name, strings.ReplaceAll(strings.TrimSpace(p.next(begin)), "\n", "; "), reason)
}

// end checks that no command of the page is left.
func (p *page) end() {
	p.t.Helper()
	for _, c := range p.commands {
		if !c.done {
			p.t.Errorf("%s: this was not run:\n%s", p.name, c.text)
		}
	}
}
