// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs types the commands of the documentation, page by page, as they stand there, on a real cluster with the
// manager running beside it. It leaves out what needs an image, a network or another tool, and says so.
package docs

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// pages is not set by `make test`: the pauses of the sample alone take minutes.
var pages = flag.Bool("pages", false, "type the commands of all pages")

// env is one cluster, without anything of ours: the pages say how to install it.
var env = &harness.Env{}

// root is the repository's folder.
var root = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}()

func TestMain(m *testing.M) {
	flag.Parse()
	if !*pages {
		os.Exit(m.Run())
	}
	if err := prepare(); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	harness.Main(m, env, harness.EnvOptions{Bare: true, Parallel: 8})
}

// prepare builds what needs a network; inside the cluster's namespaces there is none.
func prepare() error {
	if err := helm.Build(os.Stderr); err != nil {
		return err
	}
	command := exec.Command("make", "build")
	command.Dir, command.Stderr = root, os.Stderr
	return command.Run()
}
