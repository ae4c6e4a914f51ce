// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/canaryrollout/canaryrollout/test/framework/operator"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// A version is a build of the manager, with what it needs in the cluster.
type version struct {
	Name string
	// Manager is the path of the program, and Manifests that of its CRDs and roles.
	Manager, Manifests string
	Args               []string
}

// versionsVariable holds the versions for the program inside the cluster's namespaces, where there is no network.
const versionsVariable = "CANARYROLLOUT_BENCH_VERSIONS"

// prepare builds the versions: the baseline, if any, and the working tree. Inside the namespaces it returns what was built.
func prepare(ctx context.Context, o *options) (versions []version, err error) {
	if built := os.Getenv(versionsVariable); built != "" {
		return versions, json.Unmarshal([]byte(built), &versions)
	}
	if o.baseline != "" {
		baseline, err := prepareCommit(ctx, o.baseline, o.profile > 0)
		if err != nil {
			return nil, fmt.Errorf("the baseline %s: %w", o.baseline, err)
		}
		versions = append(versions, baseline)
	}
	present, err := build(ctx, repository.Path(), fmt.Sprintf("%.4x", sha256.Sum256([]byte(repository.Path()))), o.profile > 0)
	if err != nil {
		return nil, err
	}
	present.Name, present.Args = "present", o.args
	versions = append(versions, present)
	encoded, err := json.Marshal(versions)
	if err != nil {
		return nil, err
	}
	return versions, os.Setenv(versionsVariable, string(encoded))
}

// prepareCommit builds a commit from a copy of its files, which it removes.
func prepareCommit(ctx context.Context, commit string, profiled bool) (v version, err error) {
	command := exec.CommandContext(ctx, "git", "rev-parse", "--verify", "--end-of-options", commit+"^{commit}")
	command.Dir, command.Stderr = repository.Path(), os.Stderr
	hash, err := command.Output()
	if err != nil {
		return version{}, fmt.Errorf("find the commit: %w", err)
	}
	checkout, err := os.MkdirTemp("", "canaryrollout-bench-")
	if err != nil {
		return version{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(checkout)) }()
	if err := extract(ctx, strings.TrimSpace(string(hash)), checkout); err != nil {
		return version{}, err
	}
	v, err = build(ctx, checkout, strings.TrimSpace(string(hash)), profiled)
	v.Name = commit
	return v, err
}

// extract writes the files of a commit to a folder.
func extract(ctx context.Context, commit, folder string) error {
	archive := exec.CommandContext(ctx, "git", "archive", commit)
	archive.Dir, archive.Stderr = repository.Path(), os.Stderr
	files, err := archive.StdoutPipe()
	if err != nil {
		return err
	}
	unpack := exec.CommandContext(ctx, "tar", "--extract", "--directory="+folder)
	unpack.Stdin, unpack.Stderr = files, os.Stderr
	if err := archive.Start(); err != nil {
		return fmt.Errorf("git archive: %w", err)
	}
	err = unpack.Run()
	_, _ = io.Copy(io.Discard, files) // git would wait for a reader that has failed
	if err := errors.Join(err, archive.Wait()); err != nil {
		return fmt.Errorf("copy the files of %s: %w", commit, err)
	}
	return nil
}

// profiler serves profiles. It is added to the program of a version that is profiled: no version has a flag for that.
//
//go:embed profiler.go.txt
var profiler []byte

// build builds the manager of a checkout as a release does, and its manifests, in a folder of the user's cache.
func build(ctx context.Context, checkout, name string, profiled bool) (v version, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return version{}, fmt.Errorf("find the user's cache folder: %w", err)
	}
	folder := filepath.Join(cache, "canaryrollout", "bench-"+name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return version{}, err
	}
	v = version{Manager: filepath.Join(folder, "manager"), Manifests: filepath.Join(folder, "manifests.yaml")}
	manifests, err := operator.Manifests(ctx, checkout)
	if err != nil {
		return version{}, err
	}
	flags := append(repository.BuildFlags(), "-ldflags=-s -w")
	if profiled {
		overlay, err := overlayProfiler(checkout, folder)
		if err != nil {
			return version{}, err
		}
		flags = append(flags, "-overlay="+overlay)
	}
	command := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, flags, []string{"-o", v.Manager, "./cmd/manager"})...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Dir, command.Stdout, command.Stderr = checkout, os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return version{}, fmt.Errorf("go build ./cmd/manager in %s: %w", checkout, err)
	}
	return v, os.WriteFile(v.Manifests, manifests, 0o644)
}

// overlayProfiler writes the file for the flag -overlay of go build that adds the profiler.
func overlayProfiler(checkout, folder string) (overlay string, err error) {
	source := filepath.Join(folder, "profiler.go")
	overlay = filepath.Join(folder, "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(checkout, "cmd", "manager", "zz_profiler.go"): source,
	}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(source, profiler, 0o644), os.WriteFile(overlay, content, 0o644))
}
