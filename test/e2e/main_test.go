// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e releases canaries on a real cluster, through a real gateway, under load, and holds every request that
// was sent against the rules: none is lost, and none reaches a revision that it must not reach.
package e2e

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
)

// env is one cluster with one operator for all tests; each test has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) { app.Main(m, env, app.EnvOptions{}) }
