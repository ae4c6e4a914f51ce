// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package routekinds releases canaries with routes of kinds other than HTTPRoute, under load on the real gateway: gRPC
// calls, and connections with TLS that is terminated by the pods, and without TLS.
package routekinds

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// parallel is how many tests run at a time: more keep both processors of a small machine busy, and requests take seconds.
	parallel = 3
	rate     = 60
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Parallel: parallel, Cluster: cluster.Options{Streams: true}})
}
