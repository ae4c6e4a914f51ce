// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/builder"
)

// abortBudget is how soon after the annotation the canary gives its last answer, in the median: a status write, a
// write of the route, and what the gateway takes to read that.
const abortBudget = 150 * time.Millisecond

// busy is a 99th percentile of all requests that tells of a machine with other work to do, usually below 8 ms: what is
// measured there says nothing about the operator.
const busy = 15 * time.Millisecond

// TestAbortLatency aborts ten times at 40 %.
func TestAbortLatency(t *testing.T) {
	a := app.Start(t, env, app.Options{
		Steps: []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Hold()},
		Edit:  func(r *v1alpha1.CanaryRollout) { r.Spec.ScaleDownDelaySeconds = ptr.To[int32](0) },
	})
	var took []time.Duration
	for range 10 {
		if len(took) == 0 {
			a.SetImage(builder.ImageV2)
		} else {
			a.Annotate(v1alpha1.RetryAnnotation, "true")
		}
		a.WaitForPause("3/3")
		canary := a.Get().Status.Canary.Revision
		// The share must be on the wire before it can be taken away.
		from := time.Now()
		a.Eventually("requests on the canary", func() (bool, string) {
			stats := a.Traffic.Since(from)
			return stats.ByRevision[canary] >= 40, stats.String()
		})
		asked := a.Annotate(v1alpha1.AbortAnnotation, "too many errors")
		a.WaitForState(v1alpha1.StateAborted)
		a.WaitForDrain(canary)
		took = append(took, a.LastAnswer(canary).Sub(asked).Round(time.Millisecond))
		t.Logf("the last answer came after %s; the route was written after %s", took[len(took)-1], routeWritten(t, asked).Sub(asked))
	}
	slices.Sort(took)
	t.Logf("from the annotation to the last answer of the canary: %s", took)
	a.CheckLoss()
	if slow := a.Traffic.Total().Latency(0.99); slow > busy {
		t.Logf("plain requests take up to %s: the machine is too busy to judge by", slow)
	} else if median := took[len(took)/2]; median > abortBudget {
		t.Errorf("the median is %s, and the budget %s", median, abortBudget)
	}
}

// routeWritten is when the operator first wrote the route after a moment.
func routeWritten(t *testing.T, after time.Time) time.Time {
	t.Helper()
	for _, event := range requests(t, after, time.Now()) {
		if kind(event) == "patch httproutes" {
			return event.StageTimestamp.Time
		}
	}
	t.Fatal("the route was not written")
	return time.Time{}
}
