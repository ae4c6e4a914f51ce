// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crash lets the manager die after any of its writes, has writes fail or seem to, and has its cache lag: under
// load through a real gateway the rollout must come to the same end as undisturbed, without a lost request.
package crash

import (
	"flag"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
)

// parallel apps with rate requests per second each are 180 in all, the stable-only rule included.
const (
	parallel = 6
	rate     = 26
)

var long = flag.Bool("long", false, "every write of every scenario, not a spread of them; takes half an hour")

// env is one cluster for all tests. Each test has a namespace of its own, and a manager in this process for it alone.
var env = &app.Env{}

func TestMain(m *testing.M) {
	app.Main(m, env, app.EnvOptions{Parallel: parallel, WithoutOperator: true})
}
