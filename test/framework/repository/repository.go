// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package repository finds files of this repository, in whatever folder a test runs, and builds its programs.
package repository

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Path returns the path of a file or folder. The elements start at the root of the repository.
func Path(elements ...string) string {
	return filepath.Join(append([]string{root()}, elements...)...)
}

// root is found by the path that this file was compiled from. Programs that were built with -trimpath do not know it:
// they run somewhere in the repository.
var root = sync.OnceValue(func() string {
	_, file, _, _ := runtime.Caller(0)
	if filepath.IsAbs(file) {
		return filepath.Join(filepath.Dir(file), "..", "..", "..")
	}
	working, err := os.Getwd()
	if err != nil {
		return "."
	}
	for dir := working; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return working
})

// BuildFlags are the flags that decide what packages are compiled to. They drop debug information and everything that
// would make builds differ between machines. All programs of a first run are built with them and with CGO_ENABLED=0, so
// that a package that several of them use is compiled once.
func BuildFlags() []string {
	return []string{"-trimpath", "-buildvcs=false", "-mod=readonly", "-gcflags=all=-dwarf=false"}
}

// Build builds a program, named by its folder, and stores its path in an environment variable. If the variable is set
// already, Build does nothing: a program inside the namespaces of a cluster, where there is no network, inherits it.
// With race, the program has the race detector, where there is a C compiler.
//
// Each clone of the repository keeps its programs in files of its own in the user's cache folder. If nothing has
// changed since, they are not linked again.
func Build(progress io.Writer, variable, folder string, race bool) error {
	if os.Getenv(variable) != "" {
		return nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find the user's cache folder: %w", err)
	}
	name := fmt.Sprintf("%s-%.4x", filepath.Base(folder), sha256.Sum256([]byte(Path())))
	environment, flags := append(os.Environ(), "CGO_ENABLED=0"), BuildFlags()
	if race && hasRaceDetector() {
		name, environment, flags = name+"-race", os.Environ(), []string{"-race"}
	}
	binary := filepath.Join(cache, "canaryrollout", name)
	command := exec.Command("go", slices.Concat([]string{"build"}, flags, []string{"-o", binary, "./" + folder})...)
	command.Env = environment
	command.Dir, command.Stdout, command.Stderr = Path(), progress, progress
	if err := command.Run(); err != nil {
		return fmt.Errorf("go build ./%s: %w", folder, err)
	}
	return os.Setenv(variable, binary)
}

func hasRaceDetector() bool {
	output, err := exec.Command("go", "env", "CGO_ENABLED", "CC").Output()
	if err != nil {
		return false
	}
	enabled, compiler, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	_, missing := exec.LookPath(strings.TrimSpace(compiler))
	return enabled == "1" && missing == nil
}
