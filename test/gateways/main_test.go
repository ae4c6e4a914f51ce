// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateways takes releases behind gateways that misbehave: that report late, never, or wrongly, and that route later
// than they report. Each test has a gateway of its own (see the package gateway), so they run beside each other.
//
// What is reported decides how far a release may go: no weight is believed before every parent has proven it, the status
// names the parent and what is missing, and the release goes on by itself when the gateway recovers. What is routed decides
// whether a request is lost: none is, whatever is reported, and however late it is routed within settleSeconds.
package gateways

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
)

const (
	// parallel are three apps with the rate that the slow data planes are held against, and some with little.
	parallel = 8
	rate     = 20
	slowRate = 100
)

// env is one cluster with one operator for all tests; each test has a namespace and a gateway of its own.
var env = &app.Env{}

func TestMain(m *testing.M) { app.Main(m, env, app.EnvOptions{Parallel: parallel}) }
