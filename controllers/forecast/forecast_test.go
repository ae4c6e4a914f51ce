// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// rollout has the CRD's defaults set, so that it causes no warnings.
func rollout(steps ...v1alpha1.Step) *builder.Rollout {
	return builder.MakeRollout("shop", "reviews").Replicas(4).Settle(5).ScaleDownDelay(30).Steps(steps...)
}

func exactly(replicas int32) v1alpha1.Step {
	return v1alpha1.Step{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: &replicas, Mode: v1alpha1.ScaleModeExact}}
}

func headerRouteOut(name string) v1alpha1.Step {
	return v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: name}}
}

// text formats a forecast as lines: the stages, then the totals, then the warnings.
func text(f Forecast) string {
	lines := []string{string(f.Kind)}
	for _, s := range f.Stages {
		lasts := plan.Duration(s.For.Duration)
		if s.UntilPromoted {
			lasts += " and until promoted"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%2d/%d %-12s %-32s pods %d+%d+%d weight %d->%d at %s+%d for %s %s", s.Step, f.Steps, s.Name, s.What,
			s.Pods.Stable, s.Pods.Canary, s.Pods.Former, s.WeightBefore, s.Weight, plan.Duration(s.At.Duration), s.Promotions, lasts,
			strings.Join(s.HeaderRoutes, ",")), " "))
	}
	lines = append(lines, fmt.Sprintf("stable after %s, done after %s, %d promotions, peak %d pods %s", f.StableAfter.Duration, f.DoneAfter.Duration,
		f.Promotions, f.PeakPods, f.Stuck))
	if len(f.UnknownMetrics) > 0 {
		lines = append(lines, fmt.Sprintf("unknown metrics %s", f.UnknownMetrics))
	}
	for _, w := range f.Warnings {
		lines = append(lines, fmt.Sprintf("%s %s: %s", w.ID, w.Path, w.Message))
	}
	return strings.Join(lines, "\n") + "\n"
}

// analysisStep is a gate of the given metrics.
func analysisStep(duration time.Duration, metrics ...v1alpha1.Metric) v1alpha1.Step {
	return v1alpha1.Step{Analysis: &v1alpha1.AnalysisStep{Duration: metav1.Duration{Duration: duration}, Metrics: metrics}}
}

func compared(name string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, MetricSource: v1alpha1.MetricSource{Compare: &v1alpha1.Comparison{Total: "a{b=\"{{service}}\"}", Bad: "c{b=\"{{service}}\"}"}}}
}

func thresholdOf(name string, count int32) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{Query: "a", Min: "1", Schedule: v1alpha1.Schedule{Count: &count}}}}
}

func referred(name string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, MetricRef: &v1alpha1.MetricReference{Name: name, Arguments: []v1alpha1.MetricArgument{{Name: "port", Value: ptr.To("http")}}}}
}

// analyzed is a rollout whose background metrics would be measured ten thousand times in a release of two days.
func analyzed(bake time.Duration, steps ...v1alpha1.Step) *v1alpha1.CanaryRollout {
	r := rollout(steps...).Obj()
	r.Spec.Analysis = &v1alpha1.Analysis{Metrics: []v1alpha1.Metric{compared("errors"), referred("background")}}
	r.Spec.Bake = &v1alpha1.Bake{Duration: metav1.Duration{Duration: bake}}
	return r
}

func TestRelease(t *testing.T) {
	halves := []v1alpha1.Step{builder.Weight(25), builder.Hold(), builder.Weight(50), builder.Pause(time.Minute)}
	tests := map[string]struct {
		rollout *v1alpha1.CanaryRollout
		options Options
	}{
		"sample":       {rollout: sample.Rollout(t)},
		"first-deploy": {rollout: sample.Rollout(t), options: Options{FirstDeploy: true, PodReady: 20 * time.Second}},
		"slow-pods": {options: Options{PodReady: 20 * time.Second}, rollout: func() *v1alpha1.CanaryRollout {
			slow := rollout(halves...).Obj()
			slow.Spec.MinReadySeconds = 10
			return slow
		}()},
		"no-steps": {rollout: rollout().Obj()},
		"analysis": {rollout: analyzed(time.Hour, builder.Weight(25), analysisStep(10*time.Minute, compared("errors"), thresholdOf("p95", 5), referred("latency"),
			v1alpha1.Metric{Name: "smoke", MetricSource: v1alpha1.MetricSource{Job: &v1alpha1.JobMetric{}}}), builder.Pause(48*time.Hour), builder.Weight(100))},
		"analysis-too-short": {rollout: rollout(builder.Weight(25), analysisStep(time.Minute, thresholdOf("p95", 5))).Obj()},
		"analysis-known": {rollout: rollout(builder.Weight(25), analysisStep(time.Hour, referred("latency"))).Obj(), options: Options{
			Metric: func(ref *v1alpha1.MetricReference) *v1alpha1.CanaryMetricSpec {
				return &v1alpha1.CanaryMetricSpec{
					Arguments: []v1alpha1.ArgumentDeclaration{{Name: "port"}}, MetricSource: thresholdOf(ref.Name, 20).MetricSource,
				}
			},
		}},
		"pinned": {rollout: rollout(exactly(1), builder.Weight(25), builder.Hold(), builder.Weight(75), builder.Hold()).Obj()},
		"zero":   {rollout: rollout(halves...).Replicas(0).Obj()},
		"paused": {rollout: rollout(halves...).Paused().Obj()},
		"two-routes": {rollout: rollout(builder.HeaderRoute("qa", "role", "qa"), builder.HoldAtMost(time.Hour, v1alpha1.TimeoutAbort),
			headerRouteOut("qa"), builder.Weight(30), builder.Pause(time.Minute), builder.Weight(10)).Routes("a", "b").Obj()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			golden.Check(t, "testdata/"+name+".golden", text(Release(tc.rollout, tc.options)))
		})
	}
}

// TestRemaining stops a release after every pass and forecasts from there. Each forecast must reach the same end at the
// same time, through the remaining stages.
func TestRemaining(t *testing.T) {
	start := sample.Rollout(t)
	whole := Release(start, Options{PodReady: 3 * time.Second})
	w := newWorld(start, Options{PodReady: 3 * time.Second}, epoch)
	w.template = revisionBefore
	newWalk(NextRelease, w).run()
	w.now, w.template = w.now.Add(longAgo), revisionNext
	begun, seen := w.now, 0
	walk := newWalk(NextRelease, w)
	for range maxPasses {
		prior := w.status
		p := walk.pass()
		walk.follow(prior.Memory)
		live := start.DeepCopy()
		live.Status = *w.status.DeepCopy()
		if IsInFlight(live) {
			seen++
			checkRemaining(t, whole, Remaining(live, Options{PodReady: 3 * time.Second}, w.now), w.now.Sub(begun))
		}
		if len(p.Actions) == 0 && cmp.Equal(prior, p.Status) && !walk.promote() && !w.tick(p.WakeAt) {
			break
		}
	}
	if seen < 2*len(whole.Stages) {
		t.Errorf("looked at %d moments only", seen)
	}
}

func checkRemaining(t *testing.T, whole, rest Forecast, elapsed time.Duration) {
	t.Helper()
	if rest.Stuck != "" {
		t.Errorf("after %s: stuck: %s", elapsed, rest.Stuck)
	}
	got := elapsed + rest.StableAfter.Duration
	if slack := got - whole.StableAfter.Duration; slack < 0 || slack > 3*time.Second {
		t.Errorf("after %s: stable after %s, want %s", elapsed, got, whole.StableAfter.Duration)
	}
	names := func(stages []Stage) (list []string) {
		for _, stage := range stages {
			list = append(list, fmt.Sprintf("%d %s %+v %d %v", stage.Step, stage.What, stage.Pods, stage.Weight, stage.HeaderRoutes))
		}
		return list
	}
	all := names(whole.Stages)
	if diff := cmp.Diff(all[max(0, len(all)-len(rest.Stages)):], names(rest.Stages)); diff != "" {
		t.Errorf("after %s: stages differ (-whole +rest):\n%s", elapsed, diff)
	}
}

// pausedWorld is a release at its first pause.
func pausedWorld(steps ...v1alpha1.Step) *world {
	w := newWorld(rollout(steps...).Obj(), Options{}, epoch)
	w.template = revisionBefore
	newWalk(NextRelease, w).run()
	w.now, w.template = w.now.Add(longAgo), revisionNext
	for w.status.Pause == nil {
		w.pass()
		if w.status.Memory.Traffic.VerifiedAt != nil {
			w.now = w.now.Add(time.Second)
		}
	}
	return w
}

// TestRemainingWithCommand forecasts what a command leads to. It begins with what follows the command.
func TestRemainingWithCommand(t *testing.T) {
	steps := []v1alpha1.Step{builder.Weight(10), builder.Hold(), builder.Weight(50), builder.Hold()}
	for name, commands := range map[string]plan.Commands{
		"promote": {Promote: ptr.To("true")}, "promote-full": {Promote: ptr.To("full")}, "abort": {Abort: ptr.To("too many errors")},
	} {
		t.Run(name, func(t *testing.T) {
			w := pausedWorld(steps...)
			live := w.rollout.DeepCopy()
			live.Status = w.status
			golden.Check(t, "testdata/command-"+name+".golden", text(Remaining(live, Options{Commands: commands}, w.now)))
		})
	}
}

// TestRemainingWithRetry forecasts an aborted release that is started again.
func TestRemainingWithRetry(t *testing.T) {
	w := pausedWorld(builder.Weight(10), builder.Hold())
	w.commands.Abort = ptr.To("too many errors")
	newWalk(InFlight, w).run()
	if w.status.Memory.AbortedRevision == "" || w.status.Memory.Phase != v1alpha1.PhaseIdle {
		t.Fatalf("it was not aborted: %+v", w.status.Memory)
	}
	live := w.rollout.DeepCopy()
	live.Status = w.status
	golden.Check(t, "testdata/command-retry.golden", text(Remaining(live, Options{Commands: plan.Commands{Retry: ptr.To("true")}}, w.now)))
}

// TestRemainingAfterAbort forecasts a rollback.
func TestRemainingAfterAbort(t *testing.T) {
	w := pausedWorld(builder.Weight(50), builder.Hold())
	w.commands.Abort = ptr.To("too many errors")
	for w.status.Memory.Phase != v1alpha1.PhaseRollingBack {
		w.pass()
	}
	live := w.rollout.DeepCopy()
	live.Status = w.status
	golden.Check(t, "testdata/"+"abort"+".golden", text(Remaining(live, Options{}, w.now)))
}

// TestEveryLimit walks the longest list of steps that the API allows.
func TestEveryLimit(t *testing.T) {
	var steps []v1alpha1.Step
	for i := range int32(32) {
		steps = append(steps, builder.Weight(3*i), builder.Hold())
	}
	got := Release(rollout(steps...).Replicas(1000).Obj(), Options{PodReady: time.Minute})
	if got.Stuck != "" || got.Promotions != 32 || len(got.Stages) != 64+6 || got.PeakPods != 2000 {
		t.Errorf("got %s", text(got))
	}
}

// TestAnyRelease checks that releases of all kinds finish, with no gaps between their stages.
func TestAnyRelease(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		object := rollout(randomSteps(random)...).Replicas(random.Int32N(6)).Settle(random.Int32N(3)).ScaleDownDelay(random.Int32N(3)).Obj()
		object.Spec.MinReadySeconds = random.Int32N(3)
		options := Options{FirstDeploy: random.IntN(4) == 0, PodReady: time.Duration(random.IntN(3)) * time.Second}
		got := Release(object, options)
		if got.Stuck != "" || len(got.Stages) == 0 || got.StableAfter.Duration > got.DoneAfter.Duration {
			t.Fatalf("replicas %d, %+v: %s", *object.Spec.Replicas, options, text(got))
		}
		at, step := time.Duration(0), 0
		for _, stage := range got.Stages {
			if stage.At.Duration != at || stage.For.Duration < 0 || stage.Step > 0 && stage.Step != step+1 {
				t.Fatalf("replicas %d, %+v: %s", *object.Spec.Replicas, options, text(got))
			}
			at, step = at+stage.For.Duration, max(step, stage.Step)
		}
		if at != got.DoneAfter.Duration || step != len(object.Spec.Steps) && !options.FirstDeploy && *object.Spec.Replicas > 0 {
			t.Fatalf("replicas %d, %+v: %s", *object.Spec.Replicas, options, text(got))
		}
	}
}

func randomSteps(random *rand.Rand) (steps []v1alpha1.Step) {
	kinds := []func() v1alpha1.Step{
		func() v1alpha1.Step { return builder.Weight(random.Int32N(101)) },
		func() v1alpha1.Step { return builder.Scale(random.Int32N(4)) },
		func() v1alpha1.Step { return exactly(random.Int32N(4)) },
		func() v1alpha1.Step { return builder.HeaderRoute("qa", "role", "qa") },
		func() v1alpha1.Step { return headerRouteOut("qa") },
		func() v1alpha1.Step { return builder.Mirror(random.Int32N(101)) },
		func() v1alpha1.Step { return builder.Hold() },
		func() v1alpha1.Step { return builder.HoldAtMost(time.Minute, v1alpha1.TimeoutAbort) },
		func() v1alpha1.Step { return builder.Pause(time.Duration(1+random.IntN(3)) * time.Second) },
	}
	for range random.IntN(8) {
		steps = append(steps, kinds[random.IntN(len(kinds))]())
	}
	return steps
}

// TestProbe checks that the forecast assumes a successful probe and does not wait for its deadline.
func TestProbe(t *testing.T) {
	probed := sample.Rollout(t)
	probed.Spec.Traffic.Probe = &v1alpha1.Probe{URL: "http://gateway.infra.svc/reviews", RevisionHeader: "x-revision"}
	if diff := cmp.Diff(text(Release(sample.Rollout(t), Options{})), text(Release(probed, Options{}))); diff != "" {
		t.Errorf("with a probe something else is foretold (-without +with):\n%s", diff)
	}
}

// TestHugeNumbers uses numbers that the API server accepts and whose sums or products overflow 32 bits.
func TestHugeNumbers(t *testing.T) {
	got := Release(rollout(exactly(1), builder.Weight(60), builder.Hold()).Replicas(math.MaxInt32).Obj(), Options{})
	if got.Stuck != "" || got.PeakPods != 2*math.MaxInt32 {
		t.Errorf("got %s", text(got))
	}
	if !strings.Contains(text(got), "to 1 pod, where its share is 1288490189 pods") {
		t.Errorf("got %s", text(got))
	}
}
