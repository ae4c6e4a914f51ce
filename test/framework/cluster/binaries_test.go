// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

func TestVersionIsThatOfTheModule(t *testing.T) {
	const pins = "module x\n\nreplace k8s.io/api => k8s.io/api v0.37.2\n\nrequire (\n\tk8s.io/api v0.0.0 // indirect\n\tk8s.io/kubernetes v1.37.2\n)\n"
	if got := requiredVersion(pins, "k8s.io/kubernetes"); got != "v1.37.2" {
		t.Error(got)
	}
}

// A binary built from other pins or for another system must not be reused.
func TestIdentityFollowsThePins(t *testing.T) {
	dir := t.TempDir()
	identity := func(pins, sums string) string {
		for name, content := range map[string]string{"go.mod": pins, "go.sum": sums} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, hash, err := binaries[0].identity(dir)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	first := identity("a", "b")
	if identity("a", "b") != first || identity("a2", "b") == first || identity("a", "b2") == first {
		t.Error("the hash does not follow go.mod and go.sum")
	}
}

func TestSecondBuilderWaits(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	second := make(chan struct{})
	go func() {
		defer close(second)
		if unlock, err := lock(dir, &said); err == nil {
			unlock()
		}
	}()
	select {
	case <-second:
		t.Error("two had the lock")
	case <-time.After(100 * time.Millisecond):
	}
	unlock()
	<-second
	if !strings.Contains(said.String(), "waiting") {
		t.Errorf("it waited without a word: %q", said.String())
	}
}

// TestGivenBinariesAreUsed: a folder of downloaded binaries replaces each build that it has a binary for, and no other.
func TestGivenBinariesAreUsed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, b := range binariesFor(Options{Gateway: BuiltinGateway}) {
		if got, err := b.ensure(t.Context(), "/no/repository", &bytes.Buffer{}); err == nil {
			t.Errorf("%s is found in an empty folder: %s", b.name, got)
		}
		given := filepath.Join(dir, b.name)
		if err := os.WriteFile(given, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := b.ensure(t.Context(), "/no/repository", &bytes.Buffer{}); err != nil || got != given {
			t.Errorf("%s, %v", got, err)
		}
	}
}

// Only what was asked for is built: Traefik takes longer than everything else together.
func TestOnlyWhatIsAskedForIsBuilt(t *testing.T) {
	for _, c := range []struct {
		options             Options
		traefik, prometheus bool
	}{
		{Options{}, true, false},
		{Options{Gateway: TraefikGateway}, true, false},
		{Options{Gateway: BuiltinGateway}, false, false},
		{Options{Gateway: BuiltinGateway, Prometheus: true}, false, true},
		{Options{Prometheus: true}, true, true},
	} {
		has := func(name string) bool {
			return slices.ContainsFunc(binariesFor(c.options), func(b binary) bool { return b.name == name })
		}
		if has(Traefik) != c.traefik || has(Prometheus) != c.prometheus {
			t.Errorf("%+v: Traefik is built: %t, Prometheus: %t", c.options, has(Traefik), has(Prometheus))
		}
	}
}

// A first run would compile the packages that programs share twice if they were built with other flags: those that the
// Makefile builds, and promtool, which is of the module of Prometheus.
func TestOtherBuildsHaveTheSameFlags(t *testing.T) {
	flags := strings.Join(repository.BuildFlags(), " ")
	for file, want := range map[string]string{
		"Makefile":     "\nSHARED_FLAGS := " + flags + "\n",
		"hack/tool.sh": "\nflags=(" + flags + " -tags=remove_all_sd)\n",
	} {
		content, err := os.ReadFile(repository.Path(file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), want) {
			t.Errorf("%s does not have %q", file, want)
		}
	}
}
