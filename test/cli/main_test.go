// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli releases canaries with the commands that users and scripts run, on a real cluster and under load:
// the kubectl plugin as a separate program, and the commands of docs/health.md exactly as documented.
package cli

import (
	"io"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// parallel apps with rate requests per second each are 175 in total, including the stable-only rule.
const (
	parallel = 5
	rate     = 30
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Parallel: parallel, Build: []harness.Build{buildPlugin}})
}

// binaryVariable holds the path of the plugin, for the program inside the cluster's namespaces.
const binaryVariable = "CANARYROLLOUT_PLUGIN"

func buildPlugin(progress io.Writer) error {
	return repository.Build(progress, binaryVariable, "cmd/kubectl-canary", false)
}
