// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// buildInfo is about the process, not about a rollout, so that it is not among those that Forget ends.
var buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "canaryrollout_build_info", Help: "1, with the version of the manager in its labels.",
}, []string{"version", "revision", "goversion"})

func init() { metrics.Registry.MustRegister(buildInfo) }

// RecordBuild shows which build runs.
func RecordBuild(version, revision, goVersion string) {
	buildInfo.WithLabelValues(version, revision, goVersion).Set(1)
}
