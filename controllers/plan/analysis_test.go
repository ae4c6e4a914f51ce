// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// errorsMetric compares the share of errors; fast checks a query.
func errorsMetric() v1alpha1.Metric {
	return v1alpha1.Metric{Name: "errors", MetricSource: v1alpha1.MetricSource{Compare: &v1alpha1.Comparison{
		Total: `requests_total{service="{{namespace}}-{{service}}"}`, Bad: `requests_total{service="{{namespace}}-{{service}}",code="500"}`,
	}}}
}

func fastMetric(count, failureLimit int32) v1alpha1.Metric {
	return v1alpha1.Metric{Name: "fast", MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{
		Query: `latency{pod=~"{{replicaSet}}-.*"}[{{window}}]`, Max: "0.3",
		Schedule: v1alpha1.Schedule{Count: &count, FailureLimit: &failureLimit, ConsecutiveErrorLimit: ptr.To[int32](2)},
	}}}
}

func smokeMetric() v1alpha1.Metric {
	smoke := v1alpha1.Metric{Name: "smoke", MetricSource: v1alpha1.MetricSource{Job: &v1alpha1.JobMetric{}}}
	smoke.Job.Template.Raw = []byte(`{"spec":{"args":["{{revision}}"]}}`)
	return smoke
}

func analysisStep(duration time.Duration, onInconclusive v1alpha1.InconclusiveAction, metrics ...v1alpha1.Metric) v1alpha1.Step {
	return v1alpha1.Step{Analysis: &v1alpha1.AnalysisStep{
		Duration: metav1.Duration{Duration: duration}, OnInconclusive: onInconclusive, Metrics: metrics,
	}}
}

func background(metrics ...v1alpha1.Metric) change {
	return func(in *Input) { in.Spec.Analysis = &v1alpha1.Analysis{Metrics: metrics} }
}

func providers(in *Input) {
	in.Observed.Providers = map[string]Provider{
		"default": {Prometheus: true, ScrapeInterval: 15 * time.Second, Delay: 2 * time.Second}, "checks": {Web: true},
	}
	in.Observed.JobsAllowed = true
}

// atGate is a release whose canary has 10 % and is at an analysis step since a minute.
func atGate(step v1alpha1.Step, changes ...change) Input {
	in := midway(10, weight(10), step, weight(20))
	in.Prior.Memory.StepIndex, in.Prior.Memory.TransitionedAt, in.Prior.Memory.StepTargets.Weight = 1, ago(60), 10
	in.Prior.Memory.Progress = v1alpha1.ProgressMemory{}
	return changed(changed(in, providers), changes...)
}

// answer is what a provider says to each measurement.
type answer func(Measurement) Measured

// next makes a pass and lets the measurements that it asks for be answered until the pass after some time.
func next(in *Input, after time.Duration, answer answer) Plan {
	plan := Compute(*in)
	in.Prior, in.Now, in.Observed.Measured = plan.Status, in.Now.Add(after), nil
	for _, wanted := range plan.Measurements {
		if wanted.Probe == nil && !in.Now.Before(wanted.NotBefore) {
			result := answer(wanted)
			result.ID, result.At = wanted.ID, in.Now
			in.Observed.Measured = append(in.Observed.Measured, result)
		}
	}
	return plan
}

func counted(bad float64) answer {
	return func(Measurement) Measured {
		return Measured{Outcome: OutcomeCounted, Counts: analysis.Counts{CanaryBad: bad, CanaryTotal: 100, StableBad: 1, StableTotal: 900}, Value: "counts"}
	}
}

func ends(outcome MeasurementOutcome) answer {
	return func(Measurement) Measured {
		switch outcome {
		case OutcomeNoData:
			return Measured{Outcome: outcome, Problem: &Problem{Reason: v1alpha1.ReasonNoData, Message: "no sample"}}
		case OutcomeError:
			return Measured{Outcome: outcome, Problem: &Problem{Reason: v1alpha1.ReasonProviderUnreachable, Message: "connection refused"}}
		default:
			return Measured{Outcome: outcome, Value: "0.2"}
		}
	}
}

func wantedOf(plan Plan) (names []string) {
	for _, wanted := range plan.Measurements {
		names = append(names, wanted.ID.Metric)
	}
	return names
}

// TestMeasuredWhen: metrics are measured only while the traffic that they are about is verified and settled, and never in a
// promotion, a rollback or at rest.
func TestMeasuredWhen(t *testing.T) {
	gate := analysisStep(10*time.Minute, "", fastMetric(3, 0))
	both := []string{"errors", "fast"}
	for name, tc := range map[string]struct {
		in   Input
		want []string
	}{
		"settled":             {atGate(gate, background(errorsMetric())), both},
		"held by spec.paused": {atGate(gate, background(errorsMetric()), func(in *Input) { in.Spec.Paused = true }), both},
		"not verified":        {atGate(gate, background(errorsMetric()), unverified), nil},
		"not settled":         {atGate(gate, background(errorsMetric()), verified(3)), nil},
		"a pod of the other revision": {atGate(gate, background(errorsMetric()), func(in *Input) {
			in.Observed.Canary.Endpoints = append(in.Observed.Canary.Endpoints, Endpoints{Revision: "a", Ready: 1, Total: 1})
		}), nil},
		"no traffic yet": {changed(midway(0, weight(0), weight(10)), providers, background(errorsMetric()), func(in *Input) { in.Spec.Paused = true }), nil},
		"promoting":      {changed(promoting(100), providers, background(errorsMetric())), nil},
		"rolling back":   {changed(rollingBack(10), providers, background(errorsMetric())), nil},
		"at rest":        {changed(idle(), providers, background(errorsMetric())), nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Spec.Steps = slices.Clone(tc.in.Spec.Steps)
			if diff := cmp.Diff(tc.want, wantedOf(Compute(tc.in))); diff != "" {
				t.Errorf("measurements (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMeasurements: variables are replaced, and each measurement waits until what it looks back at is about this traffic.
func TestMeasurements(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0), smokeMetric()), background(errorsMetric()))
	settled := in.Prior.Memory.Traffic.VerifiedAt.Add(5 * time.Second)
	got := Compute(in).Measurements
	for i := range got {
		if got[i].ID.Definition == "" || got[i].ID.Revision != "b" {
			t.Errorf("%+v", got[i].ID)
		}
		got[i].ID = MeasurementID{Metric: got[i].ID.Metric, Step: got[i].ID.Step, Since: got[i].ID.Since}
	}
	counters := func(service string) CounterPair {
		total := `requests_total{service="default-` + service + `"`
		return CounterPair{Total: total + `}`, Part: total + `,code="500"}`}
	}
	scraped := settled.Add(15 * time.Second)
	want := []Measurement{
		{ID: MeasurementID{Metric: "errors", Since: settled.UnixMicro()}, NotBefore: scraped.Add(10*time.Second + 2*time.Second),
			Compare: &CompareRequest{Provider: "default", From: scraped, Stable: counters("reviews-stable"), Canary: counters("reviews-canary")}},
		{ID: MeasurementID{Metric: "fast", Step: 2, Since: settled.UnixMicro()}, NotBefore: scraped.Add(time.Minute + 2*time.Second),
			Threshold: &ThresholdRequest{Provider: "default", Query: `latency{pod=~"reviews-b-.*"}[60000ms]`, Max: "0.3"}},
		{ID: MeasurementID{Metric: "smoke", Step: 2}, Job: &JobRequest{Template: `{"spec":{"args":["b"]}}`}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measurements (-want +got):\n%s", diff)
	}
}

// TestFailedMetricAborts: a failure aborts in the pass that learns of it, whatever else the pass could do.
func TestFailedMetricAborts(t *testing.T) {
	for name, changes := range map[string][]change{
		"at a weight":         nil,
		"held by spec.paused": {func(in *Input) { in.Spec.Paused = true }},
		"with a promote":      {command("promote=true")},
		"with other steps":    {func(in *Input) { in.Observed.StepsHash = "other" }},
		"with a problem": {func(in *Input) {
			in.Observed.Template.Problem = &Problem{Reason: v1alpha1.ReasonInvalidTemplate, Message: "unknown field"}
		}},
		"at a pause": {func(in *Input) { in.Spec.Steps[1] = pause(0); in.Observed.StepsHash = stepsHash(in.Spec.Steps) }, memory(func(m *v1alpha1.Memory) { m.StepsHash = "" })},
	} {
		t.Run(name, func(t *testing.T) {
			in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), background(errorsMetric()))
			in.Spec.Steps = slices.Clone(in.Spec.Steps)
			next(&in, 30*time.Second, counted(20))
			got := Compute(changed(in, changes...))
			if m := got.Status.Memory; m.Phase != v1alpha1.PhaseRollingBack || m.Traffic.Weight != 0 {
				t.Errorf("%s: %s", targets(m), got.Status.Message)
			}
			if reason := got.Status.Memory.AbortReason; !strings.HasPrefix(reason, "metric errors failed: 20 of 100 requests of the canary were bad (20 %)") ||
				!strings.Contains(reason, "at most 1 %") {
				t.Errorf("reason %q", reason)
			}
			if len(wantedOf(got)) != 0 {
				t.Errorf("still measures %v", wantedOf(got))
			}
			if report := got.Status.Analysis[0]; report.Verdict != v1alpha1.VerdictFailed || report.FailureEvidence != 100 {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestOutdatedResults: a result counts only for the measurement that the planner would ask for again.
func TestOutdatedResults(t *testing.T) {
	for name, change := range map[string]func(*Input, *Measured){
		"another attempt":    func(in *Input, _ *Measured) { in.Prior.Memory.Analysis.Attempt++ },
		"another number":     func(_ *Input, result *Measured) { result.ID.Number++ },
		"another revision":   func(_ *Input, result *Measured) { result.ID.Revision = "a" },
		"another step":       func(_ *Input, result *Measured) { result.ID.Step = 1 },
		"another definition": func(in *Input, _ *Measured) { in.Spec.Analysis.Metrics[0].Compare.FalseAlarm = "2" },
		"verified again":     func(in *Input, _ *Measured) { verified(20)(in) },
		"no longer verified": func(in *Input, _ *Measured) { unverified(in) },
	} {
		t.Run(name, func(t *testing.T) {
			in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), background(errorsMetric()))
			next(&in, 30*time.Second, counted(20))
			change(&in, &in.Observed.Measured[0])
			if got := Compute(in).Status; got.Memory.Phase != v1alpha1.PhaseStepping || got.Analysis[0].Measurements != 0 {
				t.Errorf("%s: %+v", targets(got.Memory), got.Analysis[0])
			}
		})
	}
}

// TestGate: an analysis step is done when its metrics have passed. Without a verdict it does what the user has chosen.
func TestGate(t *testing.T) {
	for name, tc := range map[string]struct {
		onInconclusive v1alpha1.InconclusiveAction
		metric         v1alpha1.Metric
		answer         answer
		passes         int
		want, message  string
		paused         string
	}{
		"measured": {"", fastMetric(3, 0), ends(OutcomeGood), 2, "Stepping 1: 10% a/b",
			"analysis: 0 of 1 metric passed, until 01:09:00Z; fast: 0 of 1 measurement failed, the last result is 0.2", ""},
		"passed":          {"", fastMetric(3, 0), ends(OutcomeGood), 4, "Stepping 2: 20% a/b", "", ""},
		"failed":          {"", fastMetric(3, 0), ends(OutcomeBad), 2, "RollingBack 1: 0% a/b aborted b", "", ""},
		"failures fit":    {"", fastMetric(3, 3), ends(OutcomeBad), 4, "Stepping 2: 20% a/b", "", ""},
		"a Job completes": {"", smokeMetric(), ends(OutcomeGood), 2, "Stepping 2: 20% a/b", "", ""},
		"a Job fails":     {"", smokeMetric(), ends(OutcomeBad), 2, "RollingBack 1: 0% a/b aborted b", "", ""},
		"no data": {"", fastMetric(3, 0), ends(OutcomeNoData), 3, "Stepping 1: 10% a/b",
			"analysis: 0 of 1 metric passed, until 01:09:00Z; fast: no usable answer (2 measurements in a row): no sample", ""},
		"too many errors": {"", fastMetric(3, 0), ends(OutcomeError), 4, "Stepping 1: 10% a/b",
			"the analysis is inconclusive: fast: no usable answer (3 measurements in a row): connection refused; to continue: " +
				"kubectl -n default annotate canaryrollout reviews canaryrollout.dev/promote=true; to roll back: kubectl -n default annotate " +
				"canaryrollout reviews canaryrollout.dev/abort=true", v1alpha1.ReasonInconclusive},
		"proceed":      {v1alpha1.InconclusiveProceed, fastMetric(3, 0), ends(OutcomeError), 5, "Stepping 2: 20% a/b", "", ""},
		"abort":        {v1alpha1.InconclusiveAbort, fastMetric(3, 0), ends(OutcomeError), 4, "RollingBack 1: 0% a/b aborted b", "", ""},
		"time is over": {"", fastMetric(100, 0), ends(OutcomeGood), 30, "Stepping 1: 10% a/b", "", v1alpha1.ReasonInconclusive},
		"provider recovers": {"", fastMetric(3, 0), func() answer {
			calls := 0
			return func(wanted Measurement) Measured {
				if calls++; calls <= 3 {
					return ends(OutcomeError)(wanted)
				}
				return ends(OutcomeGood)(wanted)
			}
		}(), 7, "Stepping 2: 20% a/b", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := atGate(analysisStep(10*time.Minute, tc.onInconclusive, tc.metric))
			in.Prior.Memory.Traffic.VerifiedAt = ago(120)
			var got Plan
			for range tc.passes {
				got = next(&in, 30*time.Second, tc.answer)
			}
			if text := targets(got.Status.Memory); !strings.HasPrefix(text, tc.want) && tc.want != "" {
				t.Errorf("%s, want %s: %s", text, tc.want, got.Status.Message)
			}
			if tc.message != "" && got.Status.Message != tc.message {
				t.Errorf("message (-want +got):\n%s", cmp.Diff(tc.message, got.Status.Message))
			}
			if paused := conditionOf(got, v1alpha1.ConditionPaused); tc.paused != "" && paused.Reason != tc.paused {
				t.Errorf("paused by %s: %s", paused.Reason, got.Status.Message)
			}
			if conditionOf(got, v1alpha1.ConditionStalled).Reason == v1alpha1.ReasonProgressDeadlineExceeded {
				t.Errorf("the deadline counts: %s", got.Status.Message)
			}
		})
	}
}

// TestInvalidMetrics: what a user has to fix holds the release, and the fix lets it go on.
func TestInvalidMetrics(t *testing.T) {
	unknown := errorsMetric()
	unknown.Compare.Total = "requests_total{service=\"{{service}}\", x=\"{{nothing}}\"}"
	elsewhere := fastMetric(1, 0)
	elsewhere.Threshold.Provider = "elsewhere"
	ofWeb := fastMetric(1, 0)
	ofWeb.Threshold.Provider = "checks"
	byName := v1alpha1.Metric{Name: "latency", MetricRef: &v1alpha1.MetricReference{Name: "latency", Scope: v1alpha1.MetricScopeShared}}
	shared := func(arguments ...v1alpha1.ArgumentDeclaration) change {
		return func(in *Input) {
			in.Observed.Metrics = []SharedMetric{{Name: "latency", Scope: v1alpha1.MetricScopeShared, Spec: &v1alpha1.CanaryMetricSpec{
				Arguments: arguments, MetricSource: fastMetric(1, 0).MetricSource,
			}}}
		}
	}
	missing := func(in *Input) {
		in.Observed.Metrics = []SharedMetric{{Name: "latency", Scope: v1alpha1.MetricScopeShared, Problem: &Problem{
			Reason: v1alpha1.ReasonMetricNotFound, Message: "there is no CanaryMetric",
		}}}
	}
	for name, tc := range map[string]struct {
		metric v1alpha1.Metric
		change change
		reason string
		text   string
	}{
		"unknown variable":            {unknown, nil, v1alpha1.ReasonInvalidMetric, "nothing"},
		"unknown provider":            {elsewhere, nil, v1alpha1.ReasonProviderNotFound, "elsewhere"},
		"a provider of another kind":  {ofWeb, nil, v1alpha1.ReasonProviderNotFound, "checks"},
		"no such CanaryMetric":        {byName, missing, v1alpha1.ReasonMetricNotFound, "metric latency cannot be measured: there is no CanaryMetric"},
		"an argument without a value": {byName, shared(v1alpha1.ArgumentDeclaration{Name: "quantile"}), v1alpha1.ReasonInvalidMetric, "quantile"},
		"a CanaryMetric":              {byName, shared(v1alpha1.ArgumentDeclaration{Name: "quantile", Default: ptr.To("0.9")}), v1alpha1.ReasonNotStalled, ""},
		"Jobs are not allowed":        {smokeMetric(), func(in *Input) { in.Observed.JobsAllowed = false }, v1alpha1.ReasonJobsNotAllowed, "--allow-jobs"},
	} {
		t.Run(name, func(t *testing.T) {
			in := atGate(analysisStep(10*time.Minute, "", tc.metric))
			if tc.change != nil {
				tc.change(&in)
			}
			got := Compute(in)
			if stalled := conditionOf(got, v1alpha1.ConditionStalled); stalled.Reason != tc.reason || !strings.Contains(stalled.Message, tc.text) {
				t.Errorf("stalled by %s: %s", stalled.Reason, stalled.Message)
			}
			waiting := changed(idle(in.Spec.Steps...), providers, template("b"))
			if tc.change != nil {
				tc.change(&waiting)
			}
			if got := Compute(waiting); (got.Status.Memory.Phase == v1alpha1.PhaseStepping) != (tc.reason == v1alpha1.ReasonNotStalled) {
				t.Errorf("a release that starts: %s, %s", targets(got.Status.Memory), got.Status.Message)
			}
		})
	}
}

// TestRejectedQuery: a query that Prometheus rejects again and again needs a user. One rejection does not: the data of that moment
// may be the cause.
func TestRejectedQuery(t *testing.T) {
	in := atGate(analysisStep(time.Hour, "", fastMetric(3, 0)))
	rejected := func(Measurement) Measured {
		return Measured{Outcome: OutcomeError, Problem: &Problem{Reason: v1alpha1.ReasonQueryRejected, Message: "parse error"}}
	}
	var reasons []string
	for range 5 {
		plan := next(&in, 30*time.Second, rejected)
		reasons = append(reasons, conditionOf(plan, v1alpha1.ConditionMeasured).Reason+"/"+conditionOf(plan, v1alpha1.ConditionStalled).Reason)
	}
	want := []string{"Measuring/NotStalled", "QueryRejected/NotStalled", "QueryRejected/NotStalled", "QueryRejected/QueryRejected", "QueryRejected/QueryRejected"}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	next(&in, 30*time.Second, ends(OutcomeGood))
	if got := conditionOf(Compute(in), v1alpha1.ConditionStalled); got.Reason != v1alpha1.ReasonNotStalled {
		t.Errorf("still stalled by %s", got.Reason)
	}
}

// TestRetryStartsFresh: a verdict belongs to an attempt.
func TestRetryStartsFresh(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), background(errorsMetric()))
	next(&in, 30*time.Second, counted(20))
	in.Prior = Compute(in).Status
	in.Prior.Memory.Phase, in.Prior.Memory.CurrentRevision, in.Prior.Memory.CanaryService.Revision = v1alpha1.PhaseIdle, "a", "a"
	canaryAt("a")(&in)
	in.Observed.Routes[0].Weight, in.Observed.Measured = 0, nil
	attempt := in.Prior.Memory.Analysis.Attempt
	in.Prior.Memory.AbortedRevision = ""
	got := Compute(in).Status.Memory
	if got.Phase != v1alpha1.PhaseStepping || got.Analysis.Attempt != attempt+1 || len(got.Analysis.Background)+len(got.Analysis.Step) != 0 {
		t.Errorf("%s: %+v", targets(got), got.Analysis)
	}
}

// TestPromotePassesGate: a promote command ends an analysis step.
func TestPromotePassesGate(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), command("promote=true"))
	for range 3 {
		in.Prior = Compute(in).Status
	}
	if got := in.Prior.Memory; got.StepIndex != 2 {
		t.Errorf("%s: %s", targets(got), in.Prior.Message)
	}
}

// TestJobGoesOn: a Job that was started is not stopped because a gateway withdraws its acceptance for a moment.
func TestJobGoesOn(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", smokeMetric()))
	started := Compute(in)
	in.Prior = started.Status
	unverified(&in)
	if diff := cmp.Diff(started.Measurements, Compute(in).Measurements); diff != "" {
		t.Errorf("measurements (-before +after):\n%s", diff)
	}
}

// baking is a promotion that has ended but for its bake, which began a minute ago.
func baking(changes ...change) Input {
	in := changed(promoting(0), stableAt("b"), providers, background(errorsMetric()))
	in.Spec.Bake = &v1alpha1.Bake{Duration: metav1.Duration{Duration: 10 * time.Minute}}
	in.Prior.Memory.Bake.Since = ago(60)
	in.Prior.Memory.StableService.Selected, in.Prior.Memory.CanaryService.Selected = true, true
	return changed(in, changes...)
}

// TestBake: until the bake is over, the former revision keeps its pods, and a rollback is that of any release (T9).
func TestBake(t *testing.T) {
	for name, tc := range map[string]struct {
		change change
		passes int
		want   string
		stable string
	}{
		"bakes":               {nil, 1, "Promoting 0: 0% b/b", "a"},
		"is over":             {memory(func(m *v1alpha1.Memory) { m.Bake.Since = ago(600) }), 1, "Idle 0: 0% b/b", "b"},
		"ended by hand":       {command("promote=true"), 2, "Idle 0: 0% b/b", "b"},
		"promoted to the end": {command("promote=full"), 2, "Idle 0: 0% b/b", "b"},
		"aborted":             {command("abort=true"), 1, "RollingBack 0: 100% b/b aborted b", "a"},
		"reverted":            {template("a"), 1, "RollingBack 0: 100% b/b", "a"},
		"another template":    {template("c"), 1, "Idle 0: 0% b/b", "b"},
		"without a bake":      {func(in *Input) { in.Spec.Bake = nil }, 1, "Idle 0: 0% b/b", "b"},
		"stable had failed":   {memory(func(m *v1alpha1.Memory) { m.ForcedRevision = "b" }), 1, "Idle 0: 0% b/b", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			in := baking()
			if tc.change != nil {
				tc.change(&in)
			}
			var got Plan
			for range tc.passes {
				got = Compute(in)
				in.Prior = got.Status
			}
			if m := got.Status.Memory; targets(m) != tc.want || m.StableRevision != tc.stable {
				t.Errorf("%s with stable %s: %s", targets(m), m.StableRevision, got.Status.Message)
			}
			if m := got.Status.Memory; m.Phase != v1alpha1.PhasePromoting && m.Bake != (v1alpha1.BakeMemory{}) {
				t.Errorf("the bake is remembered: %+v", m.Bake)
			}
			for _, action := range got.Actions {
				if scale, is := action.(ScaleReplicaSet); is {
					t.Errorf("scales %s to %d", scale.Name, scale.Replicas)
				}
			}
		})
	}
}

// TestBakeFails: during a bake the background metrics go on, and one that fails rolls back.
func TestBakeFails(t *testing.T) {
	in := baking()
	before := analysis.Evidence{Counts: analysis.Counts{CanaryBad: 1, CanaryTotal: 1000, StableBad: 1, StableTotal: 1000}}
	definition := newView(&in, gatewayCanary{}).metrics()[0].definition
	in.Prior.Memory.Analysis.Background = []v1alpha1.MetricMemory{{Name: "errors", Definition: definition, Evidence: before.Encode(), Successes: 10}}
	var got Plan
	for range 20 {
		if got = next(&in, 20*time.Second, counted(20)); got.Status.Memory.Phase != v1alpha1.PhasePromoting {
			break
		}
	}
	if m := got.Status.Memory; targets(m) != "RollingBack 0: 100% b/b aborted b" {
		t.Errorf("%s: %s", targets(m), got.Status.Message)
	}
	if len(got.Status.Analysis) != 1 || got.Status.Analysis[0].Scope != v1alpha1.MetricBake {
		t.Errorf("%+v", got.Status.Analysis)
	}
}

// TestIntervals: each interval begins where the last one that was counted ended. An interval without data is left out, and one
// without an answer is asked for again, with the time since.
func TestIntervals(t *testing.T) {
	in := atGate(analysisStep(time.Hour, "", fastMetric(3, 0)), background(errorsMetric()), verified(100))
	began := in.Now
	var from []time.Duration
	for _, answer := range []answer{counted(0), counted(0), ends(OutcomeError), ends(OutcomeNoData), counted(0)} {
		plan := next(&in, 20*time.Second, answer)
		i := slices.IndexFunc(plan.Measurements, func(wanted Measurement) bool { return wanted.Compare != nil })
		from = append(from, plan.Measurements[i].Compare.From.Sub(began))
	}
	const settled = -80 * time.Second // verified 100 s ago, 5 s to settle and 15 s for a scrape
	if diff := cmp.Diff([]time.Duration{settled, 20 * time.Second, 40 * time.Second, 40 * time.Second, 80 * time.Second}, from); diff != "" {
		t.Errorf("intervals begin (-want +got):\n%s", diff)
	}
	if got := Compute(in).Status.Analysis[0]; got.Measurements != 3 || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
}

// TestNextGate: a verdict belongs to a step. Another step with the same metric measures it again.
func TestNextGate(t *testing.T) {
	in := atGate(analysisStep(time.Hour, "", fastMetric(1, 0)))
	in.Spec.Steps = append(slices.Clone(in.Spec.Steps[:2]), in.Spec.Steps[1])
	in.Observed.StepsHash = stepsHash(in.Spec.Steps)
	in.Prior.Memory.StepsHash = in.Observed.StepsHash
	first := true
	good, bad := ends(OutcomeGood), ends(OutcomeBad)
	for range 3 {
		next(&in, 10*time.Second, func(wanted Measurement) Measured {
			if first {
				first = false
				return good(wanted)
			}
			return bad(wanted)
		})
	}
	if got := in.Prior.Memory; got.StepIndex != 2 || got.AbortedRevision != "b" {
		t.Errorf("%s: %s", targets(got), in.Prior.Message)
	}
}

// TestGateHasNoDeadline: an analysis may last longer than the progress deadline.
func TestGateHasNoDeadline(t *testing.T) {
	in := atGate(analysisStep(time.Hour, "", fastMetric(1000, 0)))
	in.Spec.ProgressDeadlineSeconds, in.Spec.ProgressDeadlineAbort = ptr.To[int32](600), true
	for range 60 {
		if plan := next(&in, time.Minute, ends(OutcomeGood)); plan.Status.State == v1alpha1.StateDegraded || plan.Status.Memory.Phase != v1alpha1.PhaseStepping {
			t.Fatalf("%s: %s", targets(plan.Status.Memory), plan.Status.Message)
		}
	}
}

// TestGateClock: the time in which nothing can be measured does not count.
func TestGateClock(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, v1alpha1.InconclusiveAbort, fastMetric(1000, 0)), unverified)
	in.Spec.ProgressDeadlineSeconds = ptr.To[int32](100_000)
	for range 20 {
		next(&in, time.Minute, ends(OutcomeGood))
	}
	in.Observed.Routes[0].AcceptedGeneration = 7
	var got Plan
	for range 9 {
		got = next(&in, time.Minute, ends(OutcomeGood))
	}
	if got.Status.Memory.Phase != v1alpha1.PhaseStepping {
		t.Errorf("%s: %s", targets(got.Status.Memory), got.Status.Message)
	}
	for range 3 {
		got = next(&in, time.Minute, ends(OutcomeGood))
	}
	if got.Status.Memory.AbortedRevision != "b" {
		t.Errorf("%s: %s", targets(got.Status.Memory), got.Status.Message)
	}
}

// TestBackgroundGoesOn: a canary that has been good so far is still measured in the background. It may be bad at a higher weight.
func TestBackgroundGoesOn(t *testing.T) {
	in := atGate(analysisStep(10*time.Hour, "", fastMetric(1000, 0)), background(errorsMetric()))
	good := func(Measurement) Measured {
		return Measured{Outcome: OutcomeCounted, Counts: analysis.Counts{CanaryBad: 1, CanaryTotal: 10_000, StableBad: 10, StableTotal: 90_000}}
	}
	var got Plan
	for range 10 {
		got = next(&in, 30*time.Second, good)
	}
	if report := got.Status.Analysis[0]; report.Verdict != v1alpha1.VerdictPassed {
		t.Fatalf("%+v", report)
	}
	bad := func(Measurement) Measured {
		return Measured{Outcome: OutcomeCounted, Counts: analysis.Counts{CanaryBad: 1000, CanaryTotal: 10_000, StableBad: 10, StableTotal: 90_000}}
	}
	for range 5 {
		got = next(&in, 30*time.Second, bad)
	}
	if got.Status.Memory.AbortedRevision != "b" {
		t.Errorf("%s: %+v", targets(got.Status.Memory), got.Status.Analysis[0])
	}
}

// TestThresholdInterval: thresholds are measured at their interval, also after an error.
func TestThresholdInterval(t *testing.T) {
	for _, outcome := range []MeasurementOutcome{OutcomeGood, OutcomeError} {
		in := atGate(analysisStep(time.Hour, "", fastMetric(3, 0)))
		next(&in, 10*time.Second, ends(outcome))
		if got := Compute(in).Measurements[0]; !got.NotBefore.Equal(in.Now.Add(30 * time.Second)) {
			t.Errorf("%s: %s, want 30 s after %s", outcome, got.NotBefore, in.Now)
		}
	}
}

// TestFailureOfSuperseded: another template supersedes a release that fails. The new template is not what failed.
func TestFailureOfSuperseded(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), background(errorsMetric()))
	next(&in, 30*time.Second, counted(20))
	if got := Compute(changed(in, template("c"))).Status.Memory; targets(got) != "RollingBack 1: 0% a/b" {
		t.Errorf("%s", targets(got))
	}
}

// TestMeasurementWakes: a rollout wakes up when its traffic has settled, to ask for the first measurement.
func TestMeasurementWakes(t *testing.T) {
	in := atGate(pause(0), background(errorsMetric()), verified(3))
	if got := Compute(in); !got.WakeAt.Equal(in.Now.Add(2*time.Second)) || len(got.Measurements) != 0 {
		t.Errorf("wakes at %s with %d measurements", got.WakeAt, len(got.Measurements))
	}
}

// TestPromotedAfterFailure: a user who promotes a failed revision to the end, because the stable one cannot serve, has overruled
// its metrics.
func TestPromotedAfterFailure(t *testing.T) {
	in := atGate(analysisStep(10*time.Minute, "", fastMetric(3, 0)), background(errorsMetric()))
	next(&in, 30*time.Second, counted(20))
	failed := Compute(in).Status
	in = changed(promoting(100), providers, background(errorsMetric()), memory(func(m *v1alpha1.Memory) {
		m.Analysis, m.ForcedRevision = failed.Memory.Analysis, "b"
	}))
	if got := Compute(in).Status.Memory; got.Phase != v1alpha1.PhasePromoting {
		t.Errorf("%s", targets(got))
	}
}

// TestComparison: the test of a comparison follows from its metric.
func TestComparison(t *testing.T) {
	byPod := errorsMetric()
	byPod.Compare.Total = `requests_total{pod=~"{{ replicaSet }}-.*"}`
	byPod.Compare.Tolerance = v1alpha1.Tolerance{Relative: ptr.To[int32](100), Absolute: "1.5"}
	byPod.Compare.FalseAlarm, byPod.Compare.ClusterSize = "0.1", ptr.To[int32](5)
	for name, tc := range map[string]struct {
		metric v1alpha1.Metric
		want   analysis.Comparison
	}{
		"defaults":  {errorsMetric(), analysis.Comparison{Ratio: 1.25, Rate: 0.005, FalseAlarm: 0.01, ClusterSize: 1}},
		"all given": {byPod, analysis.Comparison{Ratio: 2, Rate: 0.015, FalseAlarm: 0.001, ClusterSize: 5, ByPod: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, metric{source: tc.metric.MetricSource}.comparison()); diff != "" {
				t.Errorf("comparison (-want +got):\n%s", diff)
			}
		})
	}
}
