// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs runs the commands of the documentation exactly as written, page by page, on a real cluster with the manager
// as a process. It skips and logs commands that need an image, a network or another tool.
package docs

import (
	"flag"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// pages is set by `make test-docs` alone: the pauses of the sample take minutes.
var pages = flag.Bool("pages", false, "run the commands of all pages")

// env is a cluster without anything of ours: the pages say how to install it.
var env = &harness.Env{}

// root is the root of the repository.
var root = repository.Path()

func TestMain(m *testing.M) {
	flag.Parse()
	if !*pages {
		os.Exit(m.Run())
	}
	harness.Main(m, env, harness.EnvOptions{Bare: true, Parallel: 8, Build: []harness.Build{helm.Build, buildPrograms}})
}

func buildPrograms(progress io.Writer) error {
	command := exec.Command("make", "build")
	command.Dir, command.Stderr = root, progress
	return command.Run()
}
