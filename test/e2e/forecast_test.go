// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// shortened returns steps whose timed pauses last at most d.
func shortened(steps []v1alpha1.Step, d time.Duration) []v1alpha1.Step {
	var short []v1alpha1.Step
	for _, step := range steps {
		step = *step.DeepCopy()
		if step.Pause != nil && step.Pause.Duration != nil {
			step.Pause.Duration = &metav1.Duration{Duration: min(d, step.Pause.Duration.Duration)}
		}
		short = append(short, step)
	}
	return short
}

// leg is the end of a part of a release: a step, the promotion at a weight, or the rest after it.
type leg struct {
	Where          string
	Weight         int32
	Headers        string
	Stable, Canary int32
}

const done = "done"

func promotionAt(weight int32) string { return fmt.Sprintf("promotion at %d", weight) }

// forecastLegs returns the legs of a forecast.
func forecastLegs(f forecast.Forecast) (legs []leg) {
	for _, stage := range f.Stages {
		next := leg{
			Where: promotionAt(stage.Weight), Weight: stage.Weight, Headers: fmt.Sprint(stage.HeaderRoutes),
			Stable: stage.Pods.Stable, Canary: stage.Pods.Canary,
		}
		switch {
		case stage.Name == forecast.NameCommit || stage.Name == forecast.NameDrain:
			next.Where = done
		case stage.Step > 0:
			next.Where = fmt.Sprintf("%d/%d", stage.Step, f.Steps)
		}
		if n := len(legs); n > 0 && legs[n-1].Where == next.Where {
			legs = legs[:n-1]
		}
		legs = append(legs, next)
	}
	return legs
}

// realLegs returns the legs of the real release from its statuses, from its first step on.
func realLegs(moments []harness.Moment) (legs []leg) {
	for _, moment := range moments {
		s := moment.Status
		where := whereIs(s)
		if where == "" || len(legs) == 0 && where == done {
			continue
		}
		next := leg{Where: where, Weight: s.Traffic.DesiredWeight, Headers: fmt.Sprint(s.Traffic.HeaderRoutes), Stable: s.Stable.Desired}
		if s.Canary != nil {
			next.Canary = s.Canary.Desired
		}
		n := len(legs)
		switch {
		case n > 0 && legs[n-1].Where == where:
			legs = legs[:n-1]
		case n > 0 && where != done:
			// A status has the observed sizes, so those at the end of a leg are in the first status of the next leg.
			// In the rest after it, the former canary is the stable revision.
			legs[n-1].Stable, legs[n-1].Canary = next.Stable, next.Canary
		}
		legs = append(legs, next)
	}
	return legs
}

// whereIs names the leg that a status belongs to; empty if there is no stable revision yet.
func whereIs(s v1alpha1.CanaryRolloutStatus) string {
	if s.Memory == nil || s.Stable == nil || s.Traffic == nil {
		return ""
	}
	switch s.Memory.Phase {
	case v1alpha1.PhaseStepping:
		return s.Step
	case v1alpha1.PhasePromoting:
		return promotionAt(s.Traffic.DesiredWeight)
	default:
		return done
	}
}

// TestForecastOfSample compares the plan of the bookinfo sample, and that of the rollout in the middle of its
// release, with a real run. Only the pauses are shorter: they are not part of a leg.
func TestForecastOfSample(t *testing.T) {
	t.Parallel()
	bookinfo := sample.Rollout(t)
	planned := forecast.Release(bookinfo, forecast.Options{})
	if len(planned.Warnings) > 0 || planned.Stuck != "" {
		t.Fatalf("the sample has risks: %v %s", planned.Warnings, planned.Stuck)
	}
	a := harness.Start(t, env, harness.Options{
		Rate:  rate,
		Steps: shortened(bookinfo.Spec.Steps, 2*time.Second),
		Edit:  func(rollout *v1alpha1.CanaryRollout) { rollout.Spec.Replicas = bookinfo.Spec.Replicas },
	})
	v1 := a.Stable()
	quickest := forecast.Release(a.Get(), forecast.Options{}).StableAfter.Duration

	begun := time.Now()
	before := len(a.Moments())
	a.SetImage(builder.ImageV2)
	paused := a.WaitForPause("3/12")
	rest := forecast.Remaining(a.Get(), forecast.Options{}, time.Now())
	promoted := a.Annotate(v1alpha1.PromoteAnnotation, "true")
	healthy := a.CheckPromoted(v1)
	a.CheckLoss()

	got := realLegs(a.Moments()[before:])
	want := forecastLegs(planned)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the release differs from the forecast (-forecast +release):\n%s", diff)
	}
	if diff := cmp.Diff(want[2:], forecastLegs(rest)); diff != "" {
		t.Errorf("the forecast at step 3/12 differs from the one before the release (-before +at 3/12):\n%s", diff)
	}
	// Times in a status are those of the operator's clock; the statuses reach the test slightly later.
	took := healthy.Sub(begun) - promoted.Sub(paused)
	t.Logf("stable after %s; the forecast without waiting times is %s", took.Round(time.Second/10), quickest)
	if took < quickest-time.Second/2 {
		t.Errorf("stable after %s, earlier than the %s that pauses and settling take", took, quickest)
	}
}
