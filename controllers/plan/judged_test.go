// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestMemoryOfRenamedMetrics: the API server rejects a status with more metrics in memory than a spec can have, and the rollout
// would be stuck. Metrics that are no longer in the spec are forgotten.
func TestMemoryOfRenamedMetrics(t *testing.T) {
	in := atGate(pause(0), background(errorsMetric()))
	for i := range 20 {
		in.Spec.Analysis.Metrics[0].Name = fmt.Sprintf("errors-%d", i)
		next(&in, 30*time.Second, counted(0))
		in.Prior = Compute(in).Status
	}
	if got := in.Prior.Memory.Analysis.Background; len(got) != 1 || got[0].Name != "errors-19" {
		t.Errorf("memory has %d metrics", len(got))
	}
}

// TestJobInBackground: a Job of the background runs once. Its result counts once, however many passes see it.
func TestJobInBackground(t *testing.T) {
	in := atGate(pause(0), background(smokeMetric()))
	for range 3 {
		next(&in, 30*time.Second, ends(OutcomeGood))
	}
	if got := Compute(in); len(got.Measurements) != 0 || got.Status.Analysis[0].Verdict != v1alpha1.VerdictPassed ||
		got.Status.Analysis[0].Measurements != 1 {
		t.Errorf("wants %v, reports %+v", wantedOf(got), got.Status.Analysis[0])
	}
}

// TestProblemOfFormerRelease: what was wrong with the measurements of a release does not hold the next one, which measures again.
func TestProblemOfFormerRelease(t *testing.T) {
	rejected := func(Measurement) Measured {
		return Measured{Outcome: OutcomeError, Problem: &Problem{Reason: v1alpha1.ReasonQueryRejected, Message: "parse error"}}
	}
	in := atGate(pause(0), background(fastMetric(3, 0)))
	for range 6 {
		next(&in, 30*time.Second, rejected)
	}
	if got := conditionOf(Compute(in), v1alpha1.ConditionStalled); got.Reason != v1alpha1.ReasonQueryRejected {
		t.Fatalf("stalled by %s", got.Reason)
	}
	t.Run("the next release", func(t *testing.T) {
		idle := changed(idle(in.Spec.Steps...), providers, template("b"), background(fastMetric(3, 0)))
		idle.Prior.Memory.Analysis = in.Prior.Memory.Analysis
		if got := Compute(idle).Status; got.Memory.Phase != v1alpha1.PhaseStepping {
			t.Errorf("%s: %s", targets(got.Memory), got.Message)
		}
	})
	t.Run("without traffic", func(t *testing.T) { // nothing can be measured before the canary has its traffic back
		in := changed(in, func(in *Input) { in.Prior.Memory.Traffic.Weight, in.Observed.Routes[0].Weight = 0, 0 })
		in.Spec.Steps = slices.Clone(in.Spec.Steps)
		if got := Compute(in).Status; got.Memory.Traffic.Weight != 10 {
			t.Errorf("%s: %s", targets(got.Memory), got.Message)
		}
	})
}

// TestNotComparable: requests of testers are not compared with those of customers, and without pods nothing is measured.
func TestNotComparable(t *testing.T) {
	for name, tc := range map[string]struct {
		change change
		want   []string
	}{
		"weight": {func(*Input) {}, []string{"errors", "compared", "fast"}},
		"mirror": {func(in *Input) {
			in.Prior.Memory.Traffic.Weight, in.Prior.Memory.StepTargets.Weight, in.Observed.Routes[0].Weight = 0, 0, 0
			in.Prior.Memory.Traffic.MirrorPercent, in.Prior.Memory.StepTargets.MirrorPercent, in.Observed.Routes[0].Mirror = 10, 10, 10
		}, []string{"errors", "compared", "fast"}},
		"header routes": {func(in *Input) {
			in.Prior.Memory.Traffic.Weight, in.Prior.Memory.StepTargets.Weight, in.Observed.Routes[0].Weight = 0, 0, 0
			headers(true)(in)
		}, []string{"fast"}},
		"no pods": {func(in *Input) { in.Spec.Replicas = ptr.To[int32](0) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			compared := errorsMetric()
			compared.Name = "compared"
			in := atGate(analysisStep(time.Hour, "", compared, fastMetric(3, 0)), background(errorsMetric()), tc.change)
			if got := wantedOf(Compute(in)); !slices.Equal(got, tc.want) {
				t.Errorf("measures %v, want %v", got, tc.want)
			}
		})
	}
}

// TestStartOverMeasuresAgain: after the steps were edited, a Job that has passed at another weight runs again.
func TestStartOverMeasuresAgain(t *testing.T) {
	in := atGate(analysisStep(time.Hour, "", smokeMetric()))
	before := Compute(in).Measurements[0].ID
	in.Spec.Steps = slices.Clone(in.Spec.Steps)
	in.Spec.Steps[2] = weight(50)
	in.Observed.StepsHash = stepsHash(in.Spec.Steps)
	for range 3 {
		in.Prior = Compute(in).Status
	}
	if got := Compute(in).Measurements; len(got) != 1 || got[0].ID == before {
		t.Errorf("%s: %+v", targets(in.Prior.Memory), got)
	}
}

// TestGateClockWaitsForUser: the time in which a metric cannot be measured until somebody fixes it does not count.
func TestGateClockWaitsForUser(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, v1alpha1.InconclusiveAbort, fastMetric(3, 0)))
	known := in.Observed.Providers
	in.Observed.Providers = nil
	for range 20 {
		next(&in, time.Minute, ends(OutcomeGood))
	}
	in.Observed.Providers = known
	if got := next(&in, time.Minute, ends(OutcomeGood)); got.Status.Memory.Phase != v1alpha1.PhaseStepping {
		t.Errorf("%s: %s", targets(got.Status.Memory), got.Status.Message)
	}
}

// TestJobArguments: a value is inserted into the strings of a Job, whatever characters it has. It cannot add fields.
func TestJobArguments(t *testing.T) {
	const value = "a \"quoted\"\n\\d+ , \"image\": \"other\" {{window}}"
	smoke := smokeMetric()
	smoke.Job.Template.Raw = []byte(`{"spec":{"args":["{{args.text}}"]}}`)
	byName := v1alpha1.Metric{Name: "smoke", MetricRef: &v1alpha1.MetricReference{
		Name: "smoke", Arguments: []v1alpha1.MetricArgument{{Name: "text", Value: ptr.To(value)}},
	}}
	in := atGate(analysisStep(time.Hour, "", byName), func(in *Input) {
		in.Observed.Metrics = []SharedMetric{{Name: "smoke", Spec: &v1alpha1.CanaryMetricSpec{
			Arguments: []v1alpha1.ArgumentDeclaration{{Name: "text"}}, MetricSource: smoke.MetricSource,
		}}}
	})
	var got struct{ Spec struct{ Args []string } }
	if err := json.Unmarshal([]byte(Compute(in).Measurements[0].Job.Template), &got); err != nil || !slices.Equal(got.Spec.Args, []string{value}) {
		t.Errorf("%q: %v", got.Spec.Args, err)
	}
}

// TestEndWithoutVerdict: the Event of an analysis that a release passes without a verdict says so. The status of a pass that ends an
// analysis shows its metrics, although the next steps have begun in the meantime.
func TestEndWithoutVerdict(t *testing.T) {
	const passed = "step 2/3 (analysis 10m) of revision b is done"
	const undecided = "step 2/3 (analysis 10m) of revision b ends without a verdict: fast: "
	for name, tc := range map[string]struct {
		outcome MeasurementOutcome
		change  change
		want    string
	}{
		"passed":   {OutcomeGood, func(*Input) {}, passed},
		"proceeds": {OutcomeError, func(*Input) {}, undecided + "no usable answer (3 measurements in a row): connection refused"},
		"by hand":  {OutcomeError, command("promote=true"), undecided + "no usable answer (1 measurement in a row): connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			in := atGate(analysisStep(10*time.Minute, v1alpha1.InconclusiveProceed, fastMetric(1, 0)), tc.change)
			in.Prior.Memory.Traffic.VerifiedAt = ago(120)
			for range 6 {
				got := next(&in, 30*time.Second, ends(tc.outcome))
				for _, event := range got.Events {
					if event.Reason != EventStepCompleted {
						continue
					}
					if len(got.Status.Analysis) != 1 {
						t.Errorf("the status shows %+v of the analysis", got.Status.Analysis)
					}
					if !strings.HasPrefix(event.Message, tc.want) || strings.Contains(event.Message, "is done") != (name == "passed") {
						t.Errorf("%q, want %q", event.Message, tc.want)
					}
					return
				}
			}
			t.Error("no Event")
		})
	}
}

// TestFlappingProvider: an analysis that is inconclusive each time its provider goes away, and goes on when that comes back, is one
// Event with a count. It would be thousands otherwise.
func TestFlappingProvider(t *testing.T) {
	metric := fastMetric(1000, 0)
	metric.Threshold.ConsecutiveErrorLimit = ptr.To[int32](0)
	in := atGate(analysisStep(time.Hour, "", metric))
	warnings := 0
	for i := range 20 {
		outcome := OutcomeGood
		if i%2 == 0 {
			outcome = OutcomeError
		}
		for _, event := range next(&in, 30*time.Second, ends(outcome)).Events {
			if event.Reason != v1alpha1.ReasonInconclusive {
				continue
			}
			if warnings++; !event.Repeats {
				t.Errorf("each one is an Event of its own: %s", event.Message)
			}
		}
	}
	if warnings < 5 {
		t.Errorf("%d warnings: the analysis does not flap", warnings)
	}
}

// TestFailureOverrulesPromote: a promotion that was accepted, but not carried out, does not outlive the abort by a metric.
func TestFailureOverrulesPromote(t *testing.T) {
	for _, given := range []string{"promote=full", "promote=true"} {
		in := atGate(analysisStep(time.Hour, "", fastMetric(3, 0)))
		in.Now = in.Now.Add(10 * time.Minute)
		next(&in, 30*time.Second, ends(OutcomeBad))
		result := in.Observed.Measured
		in.Observed.Measured = nil
		command(given)(&in)
		if in.Prior = Compute(in).Status; in.Prior.Memory.Command == nil {
			t.Fatalf("%s is not accepted", given)
		}
		in.Observed.Measured = result
		plan := Compute(in)
		if got := ignored(plan); len(got) != 1 || !strings.HasSuffix(got[0], " is ignored: a metric has failed") {
			t.Errorf("%s: %v", given, got)
		}
		in.Prior, in.Commands, in.Observed.Measured = plan.Status, Commands{}, nil
		if _, plan = passes(in, 3, time.Second); targets(plan.Status.Memory) != "RollingBack 1: 0% a/b aborted b" {
			t.Errorf("%s: %s", given, targets(plan.Status.Memory))
		}
	}
}
