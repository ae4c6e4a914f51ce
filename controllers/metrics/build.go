// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// These describe the process, not a rollout, so Forget does not delete them.
var (
	buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "canaryrollout_build_info", Help: "1, with the version of the manager in its labels.",
	}, []string{"version", "revision", "goversion"})
	shards = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "canaryrollout_shards", Help: "Number of shards into which this manager divides the rollouts, whether it leads or not.",
	})
)

func init() { metrics.Registry.MustRegister(buildInfo, shards) }

// RecordBuild exports the version of the running build.
func RecordBuild(version, revision, goVersion string) {
	buildInfo.WithLabelValues(version, revision, goVersion).Set(1)
}

// RecordShards exports the number of shards. Each of them needs a leader, and those that have none export nothing that says so.
func RecordShards(count int) { shards.Set(float64(count)) }
