// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// runner is what the operator measures of metrics, and what the providers have answered. A crash loses it. Its slices are
// replaced, never changed.
type runner struct {
	wanted  []Measurement
	results []Measured
	// late is what a plan no longer wants, and what a provider may answer all the same.
	late MeasurementID
	// misled are the results that are about other requests than their plan meant.
	misled []MeasurementID
}

// ask applies the measurements of a plan to the runner, which keeps the results that are still wanted.
func (r runner) ask(plan Plan) runner {
	next := runner{late: r.late}
	for _, wanted := range plan.Measurements {
		if wanted.Probe == nil {
			next.wanted = append(next.wanted, wanted)
		}
	}
	for _, former := range r.wanted {
		if !next.isWanted(former.ID) {
			next.late = former.ID
		}
	}
	for _, result := range r.results {
		if next.isWanted(result.ID) {
			next.results = append(next.results, result)
			if slices.Contains(r.misled, result.ID) {
				next.misled = append(next.misled, result.ID)
			}
		}
	}
	return next
}

func (r runner) isWanted(id MeasurementID) bool {
	return slices.ContainsFunc(r.wanted, func(wanted Measurement) bool { return wanted.ID == id })
}

func (r runner) hasResult(id MeasurementID) bool {
	return slices.ContainsFunc(r.results, func(result Measured) bool { return result.ID == id })
}

// same reports whether a plan asks for nothing else than the runner measures.
func (r runner) same(plan Plan) bool {
	return slices.EqualFunc(r.ask(plan).wanted, r.wanted, func(a, b Measurement) bool { return a.ID == b.ID })
}

// print writes what tells a runner from others. When it measures, and what is late, follows from memory and the way to it.
func (r runner) print(to io.Writer) {
	for _, wanted := range r.wanted {
		id := wanted.ID
		fmt.Fprint(to, id.Revision, id.Attempt, id.Step, id.Number, "wanted")
	}
	for _, result := range r.results {
		id := result.ID
		fmt.Fprint(to, id.Revision, id.Attempt, id.Step, id.Number, result.Outcome, r.isWanted(id), slices.Contains(r.misled, id))
	}
}

// metricAnswers lets providers answer: what is wanted, once it is due, and what was wanted before. Each answer but the good one of a
// gate uses up one of those that the scope has.
func metricAnswers() []move {
	var moves []move
	for _, outcome := range []MeasurementOutcome{OutcomeGood, OutcomeBad, OutcomeNoData} {
		moves = append(moves,
			silent("the gate's metric is "+string(outcome), func(w *world) bool { return w.spendAnswer(outcome) && w.answer(isOfGate, outcome) }),
			silent("the background's metric is "+string(outcome), func(w *world) bool { return w.spendAnswer("") && w.answer(isOfBackground, outcome) }))
	}
	for _, outcome := range []MeasurementOutcome{OutcomeGood, OutcomeBad} {
		moves = append(moves, move{"reconcile with a late answer that is " + string(outcome), func(w *world) (*world, string) {
			told := w.clone()
			if !told.spendAnswer("") || !told.answerLate(outcome) {
				return nil, ""
			}
			return reconcileMove(told)
		}})
	}
	return moves
}

func isOfGate(id MeasurementID) bool       { return id.Step > 0 }
func isOfBackground(id MeasurementID) bool { return id.Step <= 0 }

func (w *world) spendAnswer(outcome MeasurementOutcome) bool {
	if outcome == OutcomeGood {
		return true
	}
	w.metricAnswers--
	return w.metricAnswers >= 0
}

// answer lets a provider answer a measurement that is wanted. A bad version is bad for every metric.
func (w *world) answer(isAsked func(MeasurementID) bool, outcome MeasurementOutcome) bool {
	i := slices.IndexFunc(w.runner.wanted, func(wanted Measurement) bool { return isAsked(wanted.ID) && !w.runner.hasResult(wanted.ID) })
	if i < 0 || w.isBad && outcome == OutcomeGood {
		return false
	}
	wanted := w.runner.wanted[i]
	if wanted.NotBefore.After(w.now) {
		w.tick(wanted.NotBefore)
	}
	if !w.servesAsMeant() {
		w.runner.misled = append(slices.Clone(w.runner.misled), wanted.ID)
	}
	if outcome == OutcomeGood && isOfGate(wanted.ID) {
		w.proven = wanted.ID
	}
	w.give(wanted.ID, outcome)
	return true
}

func (w *world) answerLate(outcome MeasurementOutcome) bool {
	id := w.runner.late
	if id == (MeasurementID{}) || w.runner.isWanted(id) || w.runner.hasResult(id) {
		return false
	}
	w.give(id, outcome)
	return true
}

func (w *world) give(id MeasurementID, outcome MeasurementOutcome) {
	result := Measured{ID: id, Outcome: outcome, At: w.now, Value: "1"}
	if outcome == OutcomeNoData {
		result.Problem = &Problem{Reason: v1alpha1.ReasonNoData, Message: "no sample"}
	}
	w.runner.results = append(slices.Clone(w.runner.results), result)
}

// answerGate gives the gate what it needs, so that the rollout comes to a rest.
func (w *world) answerGate() bool {
	if w.isBad {
		return w.answer(isOfGate, OutcomeBad)
	}
	return w.answer(isOfGate, OutcomeGood)
}

// servesAsMeant reports whether the data plane answers requests as the targets in memory say.
func (w *world) servesAsMeant() bool {
	mem := w.status.Memory
	isOf := func(s *service, revision string) bool {
		for i, count := range s.proxies {
			if count > 0 && name(i) != revision {
				return false
			}
		}
		return true
	}
	return isOf(&w.stable, mem.StableService.Revision) && isOf(&w.canary, mem.CanaryService.Revision) &&
		!w.anyManaged(func(r *routeWorld) bool { return r.proxyWeight != mem.Traffic.Weight })
}

// isProven reports whether the gate at the current step has got a good answer.
func (w *world) isProven() bool {
	mem := w.status.Memory
	return mem != nil && w.proven.Revision == mem.CurrentRevision && w.proven.Attempt == mem.Analysis.Attempt && w.proven.Step == mem.StepIndex+1
}

// checkMeasured checks what a pass makes of the results.
func checkMeasured(before *world, plan Plan) string {
	prior, mem := before.status.Memory, plan.Status.Memory
	isGate := prior.Phase == v1alpha1.PhaseStepping && int(prior.StepIndex) < len(before.spec.Steps) && before.spec.Steps[prior.StepIndex].Analysis != nil
	isPassed := mem.Phase == v1alpha1.PhasePromoting || mem.Phase == v1alpha1.PhaseStepping && mem.StepIndex > prior.StepIndex
	isOverruled := prior.Command != nil || mem.Command != nil || prior.ForcedRevision != "" || mem.ForcedRevision != "" || before.size() == 0
	if isGate && isPassed && !isOverruled && !before.isProven() {
		return fmt.Sprintf("M1: the gate of revision %s at step %d is passed without its verdict", prior.CurrentRevision, prior.StepIndex+1)
	}
	for _, scope := range []v1alpha1.MetricStatusScope{v1alpha1.MetricBackground, v1alpha1.MetricStep, v1alpha1.MetricBake} {
		for _, entry := range *entries(&mem.Analysis, scope) {
			isCurrent := before.template == index(mem.CurrentRevision) || mem.Phase == v1alpha1.PhasePromoting // another template ends a bake
			if entry.Verdict == v1alpha1.VerdictFailed && isCurrent && (mem.Phase == v1alpha1.PhaseStepping || mem.Bake.Since != nil && mem.Phase == v1alpha1.PhasePromoting) {
				return fmt.Sprintf("M2: metric %s has failed, and the release goes on", entry.Name)
			}
			if former := entryOf(prior, scope, entry.Name); entry.Number > former.Number && mem.Analysis.Attempt == prior.Analysis.Attempt && !before.isExplained(former, entry) {
				return fmt.Sprintf("M3: metric %s counts what was not measured for this release and this traffic", entry.Name)
			}
		}
	}
	if before.commands.Abort != nil && prior.Phase == v1alpha1.PhaseStepping && prior.StableRevision != "" && sum(before.stable.slices) > 0 && mem.Traffic.Weight > 0 {
		return "M4: an abort waits"
	}
	if prior.Phase == v1alpha1.PhaseRollingBack && mem.Phase == v1alpha1.PhasePromoting && strings.HasPrefix(prior.AbortReason, "metric ") &&
		before.stable.slices[index(prior.StableRevision)] > 0 {
		return "M5: a promotion undoes the abort by a metric while stable can serve"
	}
	return ""
}

// entryOf returns what has been measured of a metric.
func entryOf(mem *v1alpha1.Memory, scope v1alpha1.MetricStatusScope, metric string) v1alpha1.MetricMemory {
	for _, entry := range *entries(&mem.Analysis, scope) {
		if entry.Name == metric {
			return entry
		}
	}
	return v1alpha1.MetricMemory{}
}

// isExplained reports whether a result explains what a pass has counted: it is wanted, and about the requests that were meant.
func (w *world) isExplained(former, counted v1alpha1.MetricMemory) bool {
	mem := w.status.Memory
	return slices.ContainsFunc(w.runner.results, func(result Measured) bool {
		id := result.ID
		isAbout := id.Metric == counted.Name && id.Number+1 == counted.Number && id.Revision == mem.CurrentRevision && id.Attempt == mem.Analysis.Attempt
		isSame := map[MeasurementOutcome]bool{
			OutcomeGood: counted.Successes > former.Successes, OutcomeBad: counted.Failures > former.Failures, OutcomeNoData: counted.Errors > former.Errors,
		}[result.Outcome]
		return isAbout && isSame && w.runner.isWanted(id) && (w.edited || !slices.Contains(w.runner.misled, id))
	})
}

func checked(maxErrors int32) v1alpha1.MetricSource {
	second := &metav1.Duration{Duration: time.Second}
	return v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{
		Query: "up", Max: "1", Window: second,
		Schedule: v1alpha1.Schedule{Interval: second, Count: ptr.To[int32](1), ConsecutiveErrorLimit: &maxErrors},
	}}
}

// gateStep is a gate with one metric.
func gateStep(onInconclusive v1alpha1.InconclusiveAction) v1alpha1.Step {
	return analysisStep(time.Minute, onInconclusive, v1alpha1.Metric{Name: "gate", MetricSource: checked(0)})
}

// atItsGate is deployed, and revision b has come to a gate, which waits for an answer.
func atItsGate(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	return toItsGate(t, deployed(t, steps...))
}

// atItsGateBeforeBake is atItsGate of a release that bakes.
func atItsGateBeforeBake(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.spec.Bake = &v1alpha1.Bake{Duration: metav1.Duration{Duration: 30 * time.Second}}
	return toItsGate(t, deploy(t, w))
}

// toItsGate releases revision b until the metric of a gate is wanted and has no answer yet.
func toItsGate(t *testing.T, w *world) *world {
	t.Helper()
	for range 100 {
		plan := w.reconcile()
		if slices.ContainsFunc(w.runner.wanted, func(wanted Measurement) bool { return isOfGate(wanted.ID) }) {
			return w
		}
		w.settleAll()
		if w.isIdle(w.planned()) && !plan.WakeAt.IsZero() {
			w.tick(plan.WakeAt)
		}
		w.next = nil
	}
	t.Fatalf("%s: %s", w.status.State, w.status.Message)
	return nil
}

// judged is deployed, and measured in the background, too.
func judged(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.spec.Analysis = &v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{Name: "background", MetricSource: checked(0)}}}
	return deploy(t, w)
}

// baked is judged, and bakes.
func baked(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := judged(t, steps...)
	w.spec.Bake = &v1alpha1.Bake{Duration: metav1.Duration{Duration: 30 * time.Second}}
	return w
}

// bad is judged, and the new version is bad.
func bad(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := judged(t, steps...)
	w.isBad = true
	return w
}
