// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// CheckEvidence reports an error if what was measured of a release ever became less: in an outage of Prometheus, or when a
// manager died.
func (a *App) CheckEvidence() {
	a.t.Helper()
	type key struct {
		rollout          types.UID
		attempt, step    int32
		name, definition string
	}
	last := map[key]v1alpha1.MetricMemory{}
	for _, moment := range a.Moments() {
		m := moment.Status.Memory
		if m == nil {
			continue
		}
		check := func(step int32, all []v1alpha1.MetricMemory) {
			for _, is := range all {
				k := key{moment.UID, m.Analysis.Attempt, step, is.Name, is.Definition}
				if was, isKnown := last[k]; isKnown && a.isLess(is, was) {
					a.t.Errorf("evidence was lost at %s:\nwas %+v\nis  %+v", moment.At.Format(time.TimeOnly), was, is)
				}
				last[k] = is
			}
		}
		check(-1, m.Analysis.Background)
		check(-2, m.Analysis.Bake)
		check(m.StepIndex, m.Analysis.Step)
	}
}

func (a *App) isLess(is, was v1alpha1.MetricMemory) bool {
	a.t.Helper()
	before, now := a.CountsOf(was), a.CountsOf(is)
	return is.Number < was.Number || is.Successes < was.Successes || is.Failures < was.Failures ||
		now.CanaryTotal < before.CanaryTotal || now.CanaryBad < before.CanaryBad ||
		now.StableTotal < before.StableTotal || now.StableBad < before.StableBad ||
		was.CountedUntil != nil && (is.CountedUntil == nil || is.CountedUntil.Before(was.CountedUntil))
}

// CountsOf returns what a comparison has counted.
func (a *App) CountsOf(memory v1alpha1.MetricMemory) analysis.Counts {
	a.t.Helper()
	evidence, err := analysis.DecodeEvidence(memory.Evidence)
	if err != nil {
		a.t.Fatal(err)
	}
	return evidence.Counts
}
