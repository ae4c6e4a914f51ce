// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// abortBudget is the maximum median time from the annotation to the written route: a write of the annotation, a watch event, a write of
// the status, and one of the route.
const abortBudget = 100 * time.Millisecond

// routeWrites is how many times as long that may take as the write of the route alone. If that takes more than 10 ms, the time reflects
// the machine.
const routeWrites = 10

// applyBudget is the maximum median time from the written route to the last answer of the canary: twice Traefik's throttle.
const applyBudget = 400 * time.Millisecond

// abortLatency aborts ten times at 40 %, and retries nine times when the pods are gone: in Argo Rollouts, retry did
// nothing, or created no pods (argo-rollouts#841, #3120). A delay of 0 means no delay here; for aborts of Argo
// Rollouts it means never (#1841).
func abortLatency(t *testing.T) {
	t.Helper()
	a := harness.Start(t, env, harness.Options{
		Steps: []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Hold()},
		Edit:  func(r *v1alpha1.CanaryRollout) { r.Spec.ScaleDownDelaySeconds = ptr.To[int32](0) },
	})
	// The gateway reads the route within milliseconds, and reports it. When its proxies apply it depends on what else the machine does,
	// so that has a budget of its own.
	var written, writes, applied []time.Duration
	for range 10 {
		if len(written) == 0 {
			a.SetImage(builder.ImageV2)
		} else {
			a.Annotate(v1alpha1.RetryAnnotation, "true")
		}
		a.WaitForPause("3/3")
		canary := a.Get().Status.Canary.Revision
		// The canary must have its share before it can be taken away.
		from := time.Now()
		a.Eventually("requests on the canary", func() (bool, string) {
			stats := a.Traffic.Since(from)
			return stats.ByRevision[canary] >= 40, stats.String()
		})
		asked := a.Annotate(v1alpha1.AbortAnnotation, "too many errors")
		a.WaitForState(v1alpha1.StateAborted)
		a.WaitForDrain(canary)
		write := routeWrite(t, asked)
		at := write.StageTimestamp.Time
		written = append(written, at.Sub(asked).Round(time.Millisecond))
		writes = append(writes, at.Sub(write.RequestReceivedTimestamp.Time).Round(time.Millisecond))
		applied = append(applied, a.LastAnswer(canary).Sub(at).Round(time.Millisecond))
	}
	a.CheckLoss()
	t.Logf("from the annotation to the written route: %s; its write alone: %s", written, writes)
	t.Logf("from there to the last answer of the canary: %s", applied)
	if got, budget := median(written), max(abortBudget, routeWrites*median(writes)); got > budget {
		t.Errorf("the route is written after %s in the median, and the budget is %s", got, budget)
	}
	if got := median(applied); got > applyBudget {
		t.Errorf("the last answer comes %s after the write of the route in the median, and the budget is %s", got, applyBudget)
	}
}

func median(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// routeWrite returns the operator's first write of the route after a given time.
func routeWrite(t *testing.T, after time.Time) auditv1.Event {
	t.Helper()
	for _, event := range requests(t, after, time.Now()) {
		if cost.Kind(&event) == "patch httproutes" {
			return event
		}
	}
	t.Fatal("the route was not written")
	return auditv1.Event{}
}
