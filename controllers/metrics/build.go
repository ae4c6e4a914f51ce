// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// buildInfo describes the process, not a rollout, so Forget does not delete it.
var buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "canaryrollout_build_info", Help: "1, with the version of the manager in its labels.",
}, []string{"version", "revision", "goversion"})

func init() { metrics.Registry.MustRegister(buildInfo) }

// RecordBuild exports the version of the running build.
func RecordBuild(version, revision, goVersion string) {
	buildInfo.WithLabelValues(version, revision, goVersion).Set(1)
}
