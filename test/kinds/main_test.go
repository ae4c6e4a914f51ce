// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kinds releases canaries by routes of other kinds than HTTPRoute, under load on the real gateway: calls of gRPC,
// and connections with TLS that ends at the pods, and without.
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

// env is one cluster with one operator for all tests; each test has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) {
	app.Main(m, env, app.EnvOptions{Parallel: parallel, Cluster: cluster.Options{Streams: true}})
}
