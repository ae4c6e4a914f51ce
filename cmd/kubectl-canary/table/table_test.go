// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

func TestText(t *testing.T) {
	pinned := v1alpha1.Step{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: ptr.To[int32](100), Mode: v1alpha1.ScaleModeExact}}
	risky := builder.MakeRollout("shop", "checkout").Replicas(1000).Steps(pinned, builder.HeaderRoute(strings.Repeat("long", 15), "role", "qa"),
		builder.Weight(60), builder.Pause(90*time.Second), builder.Weight(100), builder.HoldAtMost(36*time.Hour, v1alpha1.TimeoutAbort),
		builder.Weight(40)).Obj()
	late := builder.MakeRollout("shop", "checkout").ProgressDeadline(60).Settle(5).Steps(builder.Weight(10), builder.Hold()).Obj()
	late.Spec.ProgressDeadlineAbort = true
	tests := map[string]struct {
		rollout *v1alpha1.CanaryRollout
		options forecast.Options
	}{
		"sample":       {rollout: sample.Rollout(t)},
		"first-deploy": {rollout: sample.Rollout(t), options: forecast.Options{FirstDeploy: true, PodReady: 20 * time.Second}},
		"risky":        {rollout: risky, options: forecast.Options{PodReady: 2 * time.Minute}},
		"deadline":     {rollout: late, options: forecast.Options{PodReady: 2 * time.Minute}},
		"analysis":     {rollout: analyzed(t)},
		"no-steps":     {rollout: builder.MakeRollout("shop", "checkout").Settle(5).ScaleDownDelay(30).Obj()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			told := Rollout{Name: tc.rollout.Name, Forecast: forecast.Release(tc.rollout, tc.options)}
			compareGolden(t, name, told.Text(tc.options.PodReady))
		})
	}
}

// analyzed is the sample with an analysis step and a bake.
func analyzed(t *testing.T) *v1alpha1.CanaryRollout {
	t.Helper()
	rollout := sample.Rollout(t)
	metric := v1alpha1.Metric{Name: "errors", MetricRef: &v1alpha1.MetricReference{Name: "traefik-errors", Scope: v1alpha1.MetricScopeShared}}
	rollout.Spec.Steps = []v1alpha1.Step{builder.Weight(10), {Analysis: &v1alpha1.AnalysisStep{
		Duration: metav1.Duration{Duration: 10 * time.Minute}, Metrics: []v1alpha1.Metric{metric},
	}}, builder.Weight(50)}
	rollout.Spec.Bake = &v1alpha1.Bake{Duration: metav1.Duration{Duration: time.Hour}}
	return rollout
}

func TestTextInFlight(t *testing.T) {
	told := forecast.Release(sample.Rollout(t), forecast.Options{})
	told.Kind, told.Stages, told.Promotions = forecast.InFlight, told.Stages[8:], 0
	for i := range told.Stages {
		told.Stages[i].At.Duration -= 25 * time.Second
		told.Stages[i].Promotions = 0
	}
	told.StableAfter.Duration -= 25 * time.Second
	told.DoneAfter.Duration -= 25 * time.Second
	compareGolden(t, "in-flight", Rollout{Name: "reviews", Revision: "594c75879c", Forecast: told}.Text(time.Second))
}

func TestTextOfStuck(t *testing.T) {
	text := Rollout{Name: "reviews", Forecast: forecast.Forecast{Stuck: "waiting for 4 pods"}}.Text(0)
	if want := "\nIt does not end: waiting for 4 pods\n"; !strings.Contains(text, want) {
		t.Errorf("got\n%s, want in it\n%s", text, want)
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
			t.Errorf("a line of %d: %s", n, line)
		}
	}
	golden.Check(t, "testdata/"+name+".golden", got)
}
