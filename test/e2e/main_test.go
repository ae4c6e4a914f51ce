// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e releases canaries on a real cluster, through a real gateway, under load, and checks every request
// against the rules: none is lost, and none reaches a revision that it must not reach.
package e2e

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// parallel apps with rate requests per second each are 175 in total, including the stable-only rule. Tests that
// measure times and costs run before that, not in parallel, and so does the bookinfo release, under harness.Rate.
const (
	parallel = 3
	rate     = 50
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Parallel: parallel, AsShipped: true})
}

// parallelApp is harness.New for a parallel test.
func parallelApp(t *testing.T, steps ...v1alpha1.Step) *harness.App {
	t.Helper()
	t.Parallel()
	return harness.Start(t, env, harness.Options{Steps: steps, Rate: rate})
}
