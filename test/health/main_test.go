// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package health takes releases through the commands that docs/health.md gives to scripts, as they stand there.
package health

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
)

const (
	parallel = 3
	rate     = 32
)

// env is one cluster with one operator for all tests; each test has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) { app.Main(m, env, app.EnvOptions{Parallel: parallel}) }
