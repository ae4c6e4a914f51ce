// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package edges takes releases through what happens beside the straight way, under load through a real gateway: other
// versions in between, sick pods, other writers, migrations. Its tests run beside each other, each with a part of the
// load.
package edges

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
)

// parallel apps with rate requests per second each are 149 in all, the stable-only rule included: as many releases at once
// need the processors, too.
const (
	parallel = 8
	rate     = 16
)

// env is one cluster with one operator for all tests; each test has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) { app.Main(m, env, app.EnvOptions{Parallel: parallel}) }
