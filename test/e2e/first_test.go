// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestFirstDeploy sends requests to a new route before its rollout exists: none fails after the first good answer.
// The two Services get their first endpoints one after the other, so the weights must be set before there is a pod.
// Otherwise some of these first deploys, but not all, lose requests.
func TestFirstDeploy(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint(i), firstDeploy)
	}
}

func firstDeploy(t *testing.T) {
	t.Parallel()
	a := harness.Prepare(t, env, harness.Options{})
	traffic := a.Load(harness.HTTPRoute, harness.HTTPRoute.Path, 2*rate)
	begun := time.Now()
	a.Create(a.Rollout(harness.Options{}))
	a.WaitForState(v1alpha1.StateHealthy)
	first, end := begun, time.Now()
	for len(traffic.Window(begun, first).ByVersion) == 0 && first.Before(end) {
		first = first.Add(5 * time.Millisecond)
	}
	traffic.Stop()
	stats := traffic.Window(first, time.Now())
	t.Logf("from the first good answer on: %s", stats)
	if stats.Sent == 0 {
		t.Error("nothing was answered")
	}
	for _, failure := range traffic.Failures() {
		if failure.Start.After(first) {
			t.Errorf("lost %s after the first good answer: %+v", failure.Start.Sub(first), failure)
		}
	}
}
