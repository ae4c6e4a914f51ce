// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gatewayfaults tests releases behind gateways that misbehave: that report late, never, or wrongly, and that route
// later than they report. Each test has its own gateway (see the package gateway), so tests run in parallel.
//
// What is reported decides how far a release may go: no weight counts before every parent has verified it, the status
// names the parent and what is missing, and the release continues by itself when the gateway recovers. What is routed
// decides whether a request is lost: none is, whatever is reported, and however late it is routed within
// settleSeconds.
package gatewayfaults

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// parallel allows three apps with the rate for slow data planes, and some with the low rate.
	parallel = 6
	rate     = 20
	slowRate = 100
)

// env is one cluster with one operator for all tests; each test has its own namespace and gateway.
var env = &harness.Env{}

func TestMain(m *testing.M) { harness.Main(m, env, harness.EnvOptions{Parallel: parallel}) }
