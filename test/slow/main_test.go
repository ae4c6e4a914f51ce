// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package slow has the control plane, the gateway and the operator late or away, for seconds, under load: the data plane goes
// on, nothing is believed before it is proven, and the release goes on by itself afterwards. What is slow is slow for the
// whole cluster, so these tests run one after the other.
package slow

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// env is one cluster with one operator for all tests; each test has a namespace of its own.
var env = &app.Env{}

func TestMain(m *testing.M) {
	app.Main(m, env, app.EnvOptions{Cluster: cluster.Options{LateEndpoints: true}})
}
