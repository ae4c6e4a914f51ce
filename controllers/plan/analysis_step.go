// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// analysisKind is the kind of step that holds a release until its metrics have passed.
type analysisKind struct{}

func (analysisKind) enter(*transition, *v1alpha1.Step) {}

// done is open when every metric has passed, or when the time is over and the user does not want to be asked.
func (k analysisKind) done(t *transition, step *v1alpha1.Step) gate {
	if serves := t.strategy.isServing(t.view); serves.shut {
		return serves
	}
	if verified := t.verified(); verified.shut {
		return verified
	}
	progress := t.analysisProgress()
	switch left := t.timeLeft(step.Analysis.Duration.Duration); {
	case progress.passed == progress.total:
		return gate{}
	case progress.inconclusive == "" && left.shut:
		left.isTimed = true
		left.message = fmt.Sprintf("analysis: %d of %s passed, until %s; %s", progress.passed, Quantity(int32(progress.total), "metric"),
			clock(left.opensAt), progress.waiting)
		return left
	case step.Analysis.OnInconclusive == v1alpha1.InconclusiveProceed, step.Analysis.OnInconclusive == v1alpha1.InconclusiveAbort:
		return gate{}
	default:
		g := waitFor("the analysis is inconclusive: %s; to continue: %s; to roll back: %s", k.why(t),
			t.annotate(v1alpha1.PromoteAnnotation+"=true"), t.annotate(v1alpha1.AbortAnnotation+"=true"))
		g.paused = v1alpha1.ReasonInconclusive
		return g
	}
}

// why returns why an analysis has no verdict.
func (analysisKind) why(t *transition) string {
	progress := t.analysisProgress()
	return cmp.Or(progress.inconclusive, progress.undecided)
}

func (k analysisKind) undecided(t *transition) string {
	if progress := t.analysisProgress(); progress.passed == progress.total {
		return ""
	}
	return k.why(t)
}

func (k analysisKind) abortReason(t *transition, step *v1alpha1.Step) string {
	why := k.undecided(t)
	if why == "" || step.Analysis.OnInconclusive != v1alpha1.InconclusiveAbort {
		return ""
	}
	return "the analysis is inconclusive: " + why
}

func (analysisKind) describe(step *v1alpha1.Step) (short, details string) {
	names := make([]string, len(step.Analysis.Metrics))
	for i := range step.Analysis.Metrics {
		names[i] = step.Analysis.Metrics[i].Name
	}
	return "analysis " + Duration(step.Analysis.Duration.Duration), strings.Join(names, ", ")
}

// analysisStep returns the analysis of the current step; nil if the step is another.
func (v view) analysisStep() *v1alpha1.AnalysisStep {
	if step := v.currentStep(); step != nil {
		return step.Analysis
	}
	return nil
}

// analysisProgress is how far the metrics of the current step have come.
type analysisProgress struct {
	passed, total int
	// inconclusive is why a metric can have no verdict; empty if each may still have one.
	inconclusive string
	// waiting says what has been measured of the first metric without a verdict, and undecided why it has none if the time is
	// over.
	waiting, undecided string
}

func (v view) analysisProgress() analysisProgress {
	var progress analysisProgress
	for _, m := range v.metrics() {
		if m.scope != v1alpha1.MetricStep {
			continue
		}
		progress.total++
		entry := v.measured(m)
		if entry.Verdict == v1alpha1.VerdictPassed {
			progress.passed++
			continue
		}
		text := m.name + ": " + v.words(m, &entry)
		if v.isInconclusive(m, &entry) && progress.inconclusive == "" {
			progress.inconclusive = text
		}
		if progress.waiting == "" {
			progress.waiting, progress.undecided = text, m.name+": "+v.undecided(m, &entry)
		}
	}
	return progress
}

// isInconclusive reports whether a metric has had no usable answer for too long. It may still get one.
func (v view) isInconclusive(m metric, entry *v1alpha1.MetricMemory) bool {
	limit := ptr.Deref(m.schedule().ConsecutiveErrorLimit, v1alpha1.DefaultConsecutiveErrorLimit)
	return m.scope == v1alpha1.MetricStep && entry.Errors > limit
}
