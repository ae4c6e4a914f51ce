// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestMeasurements checks that the runner measures what a plan asks for, wakes the rollout, that the next pass observes the result,
// and that nothing is measured of a rollout that is gone.
func TestMeasurements(t *testing.T) {
	h := newHarness(t, aRollout())
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Runner.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		stop()
		running.Wait()
	}()
	wanted := plan.Measurement{ID: plan.MeasurementID{Metric: "errors"}, Threshold: &plan.ThresholdRequest{Provider: "nobody"}}
	h.plan = plan.Plan{Status: withMessage("measuring"), Measurements: []plan.Measurement{wanted}}
	if _, err := h.reconcile(t); err != nil || h.in.Observed.Measured != nil {
		t.Fatalf("measured %+v before anything was, %v", h.in.Observed.Measured, err)
	}
	select {
	case woken := <-h.Runner.Events():
		if woken.Object.GetNamespace() != key.Namespace || woken.Object.GetName() != key.Name {
			t.Errorf("woken: %s/%s", woken.Object.GetNamespace(), woken.Object.GetName())
		}
	case <-time.After(time.Minute):
		t.Fatal("no pass was woken")
	}
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	if got := h.in.Observed.Measured; len(got) != 1 || got[0].ID != wanted.ID || got[0].Problem.Reason != v1alpha1.ReasonProviderNotFound {
		t.Errorf("measured %+v", got)
	}
	if err := h.Delete(t.Context(), h.stored(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.reconcile(t); err != nil || h.Runner.Results(key) != nil {
		t.Errorf("results %+v of a rollout that is gone, %v", h.Runner.Results(key), err)
	}
}
