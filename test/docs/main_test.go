// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs types the commands of the documentation, page by page, as they stand there, on a real cluster with the
// manager running beside it. It leaves out what needs an image, a network or another tool, and says so.
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

// pages is not set by `make test`: the pauses of the sample alone take minutes.
var pages = flag.Bool("pages", false, "type the commands of all pages")

// env is one cluster, without anything of ours: the pages say how to install it.
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
