// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crash kills the manager after any of its writes, makes writes fail or appear to fail, and makes its cache
// lag: under load through a real gateway the rollout must reach the same end as undisturbed, without a lost request.
package crash

import (
	"flag"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// parallel apps with rate requests per second each are 180 in total, including the stable-only rule.
const (
	parallel = 6
	rate     = 26
)

var long = flag.Bool("long", false, "every write of every scenario, not a spread of them; takes half an hour")

// env is one cluster for all tests. Each test has its own namespace, and its own manager in this process.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Parallel: parallel, WithoutOperator: true})
}
