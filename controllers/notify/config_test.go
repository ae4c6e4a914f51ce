// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const testKey = "0123456789abcdef"

// directory returns a directory with the file of sinks and the files that it names.
func directory(tb testing.TB, sinks string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range map[string]string{
		"sinks.yaml": sinks, "key": testKey + "\n", "short": "short", "url": "http://hooks.example/T1?token=s3cr3t\n", "bad": "s3cr3t",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// TestLoadSinks reads a file as an administrator writes it, and checks which sinks the rollouts of a namespace have by default.
func TestLoadSinks(t *testing.T) {
	dir := directory(t, `
- name: audit
  cloudEvents: {url: 'https://events.infra.svc/releases'}
  signingKeyFile: key
  default: true
  timeout: 3s
- name: chat
  slack: {urlFile: url}
  default: true
  namespaces: [shop, bank]
  transitions: [Paused, Aborted]
- name: pager
  slack: {url: 'http://pager'}
`)
	sinks, err := LoadSinks(filepath.Join(dir, "sinks.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRunner(sinks)
	filter := []v1alpha1.Transition{v1alpha1.TransitionPaused, v1alpha1.TransitionAborted}
	for namespace, isChat := range map[string]bool{"shop": true, "bank": true, "other": false} {
		want := []plan.Sink{{Name: "audit", IsDefault: true}, {Name: "chat", IsDefault: isChat, Transitions: filter}, {Name: "pager"}}
		if diff := cmp.Diff(want, r.Sinks(namespace)); diff != "" {
			t.Errorf("sinks of %s (-want +got):\n%s", namespace, diff)
		}
	}
	if at, err := sinks.byName["chat"].address(); err != nil || at.String() != "http://hooks.example/T1?token=s3cr3t" {
		t.Errorf("the address is %s, %v", at, err)
	}
	if key, err := sinks.byName["audit"].key(); err != nil || string(key) != testKey {
		t.Errorf("the key is %q, %v", key, err)
	}
	if NewRunner(Sinks{}).Sinks("shop") != nil {
		t.Error("there are sinks without a file")
	}
}

// TestInvalidSinks checks that a mistake in the file is an error that names file, sink and field, and that no secret is in it.
func TestInvalidSinks(t *testing.T) {
	defaults := strings.Repeat("- {name: aN, default: true, slack: {url: 'http://a'}}\n", 11)
	for _, letter := range "bcdefghijkl" {
		defaults = strings.Replace(defaults, "aN", string(letter), 1)
	}
	for name, tc := range map[string]struct{ content, want string }{
		"empty":                 {"", ""},
		"an unknown field":      {"[{name: a, slack: {url: 'http://a', channel: x}}]", "field channel not found"},
		"no kind":               {"[{name: a}]", "sink a: it must have exactly one of cloudEvents and slack"},
		"two kinds":             {"[{name: a, slack: {url: 'http://a'}, cloudEvents: {url: 'http://a'}}]", "sink a: it must have exactly one of cloudEvents and slack"},
		"no URL":                {"[{name: a, slack: {}}]", "sink a: it must have exactly one of url and urlFile"},
		"two URLs":              {"[{name: a, slack: {url: 'http://a', urlFile: url}}]", "sink a: it must have exactly one of url and urlFile"},
		"a bad URL":             {"[{name: a, slack: {url: 's3cr3t'}}]", "sink a: url must be a URL"},
		"a bad file":            {"[{name: a, slack: {urlFile: bad}}]", "sink a: the content of urlFile must be a URL"},
		"a missing file":        {"[{name: a, slack: {urlFile: missing}}]", "sink a: urlFile: open "},
		"a missing key":         {"[{name: a, slack: {urlFile: url}, signingKeyFile: missing}]", "sink a: signingKeyFile: open "},
		"a short key":           {"[{name: a, slack: {urlFile: url}, signingKeyFile: short}]", "sink a: signingKeyFile: the key has 5 bytes: it must have at least 16"},
		"a namespace":           {"[{name: a, default: true, namespaces: [X], slack: {urlFile: url}}]", `sink a: namespaces has "X"`},
		"no default":            {"[{name: a, namespaces: [x], slack: {urlFile: url}}]", "sink a: namespaces and transitions are for a default"},
		"an unknown transition": {"[{name: a, default: true, transitions: [paused], slack: {urlFile: url}}]", `sink a: transitions has "paused"`},
		"too many defaults":     {defaults, "11 sinks are defaults: the limit is 10"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(directory(t, tc.content), "sinks.yaml")
			_, err := LoadSinks(file)
			switch {
			case (err == nil) != (tc.want == ""):
				t.Errorf("%v, want %q", err, tc.want)
			case err != nil && (!strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cr3t")):
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// FuzzSinks: no file makes the manager panic, and one that is accepted can be used.
func FuzzSinks(f *testing.F) {
	dir := directory(f, "")
	f.Add("[{name: a, slack: {urlFile: url}, default: true, namespaces: [x], transitions: [Paused]}]")
	f.Add("[{name: a, cloudEvents: {url: 'http://a'}, signingKeyFile: key, timeout: 3s, requestsPerSecond: 2, httpConfig: {}}]")
	f.Fuzz(func(t *testing.T, content string) {
		sinks, err := parseSinks([]byte(content), dir)
		if err != nil {
			return
		}
		for _, s := range sinks.byName {
			if _, err := s.address(); err != nil || (s.config.Slack == nil) == (s.config.CloudEvents == nil) {
				t.Errorf("accepted %q: %v", content, err)
			}
		}
		NewRunner(sinks).Sinks("x")
	})
}
