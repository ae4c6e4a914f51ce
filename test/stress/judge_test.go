// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

// Counters of Traefik for one of the two Services. Only pods answer with status 500: requests that are lost because the script
// killed a pod have another one, and do not make a version bad.
const (
	requests = `traefik_service_requests_total{service=~"{{namespace}}-{{service}}-http-.*"}`
	errors   = `traefik_service_requests_total{service=~"{{namespace}}-{{service}}-http-.*",code="500"}`
)

// judge lets all versions answer 1 % of their requests with an error, and compares them.
func judge(r *v1alpha1.CanaryRollout) {
	builder.EditTemplate(r, func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[0].Env = []corev1.EnvVar{{Name: backend.ErrorPercent, Value: "1"}}
	})
	r.Spec.Analysis = &v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "errors", MetricSource: v1alpha1.MetricSource{
		Compare: &v1alpha1.Comparison{
			Total: requests, Bad: errors, FalseAlarm: "0.01", Interval: &metav1.Duration{Duration: cluster.ScrapeInterval},
		},
	}}}}
}

// isMeasured reports whether the release in flight has been measured.
func isMeasured(s v1alpha1.CanaryRolloutStatus) bool {
	return len(s.Memory.Analysis.Background) > 0 && s.Memory.Analysis.Background[0].Successes > 0
}

// checkVerdicts checks that no version failed, and that no evidence was lost.
func (d *driver) checkVerdicts() {
	d.t.Helper()
	d.CheckEvidence()
	measured := map[int32]int32{} // measurements by release
	for _, moment := range d.Moments() {
		if moment.Status.Memory == nil || len(moment.Status.Memory.Analysis.Background) == 0 {
			continue
		}
		entry := moment.Status.Memory.Analysis.Background[0]
		measured[moment.Status.Memory.Analysis.Attempt] = entry.Successes
		if entry.Verdict == v1alpha1.VerdictFailed {
			d.t.Fatalf("at %s an equal version failed: %s", moment.At.Format(time.TimeOnly), entry.Value)
		}
	}
	d.t.Logf("measurements by release: %v", measured)
}
