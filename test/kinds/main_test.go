// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kinds releases canaries with routes of kinds other than HTTPRoute, under load on the real gateway: gRPC
// calls, and connections with TLS that is terminated by the pods, and without TLS.
package kinds

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
)

const (
	parallel = 4
	rate     = 60
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &app.Env{}

func TestMain(m *testing.M) {
	app.Main(m, env, app.EnvOptions{Parallel: parallel, Cluster: cluster.Options{Streams: true}})
}
