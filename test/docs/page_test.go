// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// page is a reader at a terminal who goes through a page of the documentation. Each command is typed, or left out for a
// reason: what nobody touched fails the test, so a new command cannot be forgotten.
type page struct {
	*harness.Terminal
	t        *testing.T
	name     string
	commands []*command
}

// command is a block of commands, or what stands behind a prompt in a block that shows a dialogue.
type command struct {
	text string
	done bool
}

var (
	block  = regexp.MustCompile("(?ms)^ *```(sh|console)\n(.*?)^ *```")
	prompt = regexp.MustCompile(`(?m)^ *\$ (.*)$`)
)

// read opens a page, named from the root of the repository, in a folder that has what a clone has.
func read(t *testing.T, terminal *harness.Terminal, name string) *page {
	t.Helper()
	p := &page{Terminal: terminal, t: t, name: name}
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range block.FindAllStringSubmatch(string(text), -1) {
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

// next is the first command that begins so and was not typed yet.
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

// run types the next block that begins so.
func (p *page) run(begin string) (output string) {
	p.t.Helper()
	return p.Run(p.next(begin))
}

// refused types a command that is documented to fail.
func (p *page) refused(begin, says string) {
	p.t.Helper()
	text := p.next(begin)
	output, err := p.Try(text)
	if err == nil || !strings.Contains(output, says) {
		p.t.Errorf("%s: %v, want it refused with %q:\n%s", text, err, says, output)
	}
}

// watch types the next block that begins so, whose last command goes on until Ctrl-C, and ends it when it has shown a text.
func (p *page) watch(begin, until string) {
	p.t.Helper()
	p.Start(p.next(begin), until)()
}

// lines are the commands of a block of alternatives, which makes no sense at one go.
func (p *page) lines(begin string) []string {
	p.t.Helper()
	return strings.Split(strings.TrimSpace(p.next(begin)), "\n")
}

// leave says why a block is not typed.
func (p *page) leave(begin, reason string) {
	p.t.Helper()
	p.t.Logf("%s, left out: %s: %s", p.name, strings.ReplaceAll(strings.TrimSpace(p.next(begin)), "\n", "; "), reason)
}

// end is the end of the page.
func (p *page) end() {
	p.t.Helper()
	for _, c := range p.commands {
		if !c.done {
			p.t.Errorf("%s: nobody typed this:\n%s", p.name, c.text)
		}
	}
}
