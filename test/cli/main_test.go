// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli releases canaries with the commands that users and scripts run, on a real cluster and under load:
// the kubectl plugin as a separate program, and the commands of docs/health.md exactly as documented.
package cli

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// parallel apps with rate requests per second each are 175 in total, including the stable-only rule.
const (
	parallel = 5
	rate     = 30
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	if err := build(); err != nil {
		fmt.Println("FAIL: building the plugin:", err)
		os.Exit(1)
	}
	harness.Main(m, env, harness.EnvOptions{Parallel: parallel})
}

// binaryVariable passes the path of the plugin to the program inside the cluster's namespaces, where there is no
// network to fetch modules.
const binaryVariable = "CANARYROLLOUT_PLUGIN"

func build() error {
	if os.Getenv(binaryVariable) != "" {
		return nil
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	binary := filepath.Join(cache, "canaryrollout", fmt.Sprintf("kubectl-canary-%.4x", sha256.Sum256([]byte(root))))
	command := exec.Command("go", "build", "-o", binary, "./cmd/kubectl-canary")
	command.Dir, command.Stdout, command.Stderr = root, os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("go build ./cmd/kubectl-canary: %w", err)
	}
	return os.Setenv(binaryVariable, binary)
}
