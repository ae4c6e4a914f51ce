// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package analysis releases good, bad and slow versions under load through Traefik, whose metrics a real Prometheus scrapes:
// the release judges itself. What the pods answered is known from the requests, so each verdict is checked against it.
package analysis

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// env is one cluster with one operator and one Prometheus for all tests; each app has its own namespace.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Cluster: cluster.Options{Prometheus: true}, Parallel: 8})
}
