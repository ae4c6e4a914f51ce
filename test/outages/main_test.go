// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package outages makes the control plane, the gateway and the operator late or unavailable, for seconds, under load:
// the data plane keeps working, nothing counts before it is verified, and the release continues by itself afterwards.
// The faults affect the whole cluster, so these tests are not parallel.
package outages

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// env is one cluster with one operator for all tests; each test has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Cluster: cluster.Options{LateEndpoints: true}})
}
