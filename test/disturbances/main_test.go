// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package disturbances tests releases that do not run undisturbed, under load through a real gateway: other versions in
// between, failing pods, other writers, migrations. Its tests run in parallel, each with a part of the load.
package disturbances

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// parallel apps with rate requests per second each are 75 in total, including the stable-only rule. Six apps kept two processors
// busy for seconds at a time, and the gateway fell behind for longer than the operator gives it.
const (
	parallel = 4
	rate     = 16
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) { harness.Main(m, env, harness.EnvOptions{Parallel: parallel}) }
