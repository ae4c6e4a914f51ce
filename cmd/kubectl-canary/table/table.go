// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table formats forecasts as tables of 80 columns.
package table

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// width fits into every terminal.
const width = 80

// Rollout is the forecast of a rollout.
type Rollout struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Revision is the revision in flight.
	Revision string `json:"revision,omitempty"`
	forecast.Forecast
}

var header = []string{"STEP", "WHAT", "PODS", "WEIGHT", "AT", "FOR"}

// what is the index of the column that is shortened if the table is too wide.
const what = 1

// Text formats the forecast as a table, followed by totals and warnings.
func (r Rollout) Text(podReady time.Duration) string {
	rows := [][]string{header}
	for _, stage := range r.Stages {
		rows = append(rows, r.row(stage))
	}
	lines := []string{r.title(), ""}
	lines = append(lines, view.Columns(rows, width, what)...)
	lines = append(lines, "")
	lines = append(lines, view.Wrap(r.sums(podReady), width, "", "")...)
	if len(r.Warnings) > 0 {
		lines = append(lines, "", "Warnings:")
	}
	for _, warning := range r.Warnings {
		lines = append(lines, view.Wrap(warning.ID+": "+warning.Message, width, "  ", "    ")...)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (r Rollout) title() string {
	switch r.Kind {
	case forecast.FirstDeploy:
		return r.Name + ": the first deploy"
	case forecast.InFlight:
		return fmt.Sprintf("%s: the rest of the release of revision %s", r.Name, r.Revision)
	default:
		return r.Name + ": the next release"
	}
}

func (r Rollout) row(stage forecast.Stage) []string {
	step, lasts := "", plan.Duration(stage.For.Duration)
	if stage.Step > 0 {
		step = fmt.Sprintf("%d/%d", stage.Step, r.Steps)
	}
	if stage.UntilPromoted {
		lasts = "until promoted"
	}
	return []string{step, stage.What, pods(stage.Pods), weight(stage), clock(stage.At.Duration, stage.Promotions), lasts}
}

func pods(p forecast.Pods) string {
	text := fmt.Sprintf("%d+%d", p.Stable, p.Canary)
	if p.Former > 0 {
		text += fmt.Sprintf("+%d", p.Former)
	}
	return text
}

func weight(stage forecast.Stage) string {
	if stage.WeightBefore == stage.Weight {
		return fmt.Sprint(stage.Weight)
	}
	return fmt.Sprintf("%d->%d", stage.WeightBefore, stage.Weight)
}

// clock marks times to which the waiting time for a person has to be added.
func clock(at time.Duration, promotions int) string {
	text := plan.Duration(at)
	if promotions > 0 {
		text += "+"
	}
	return text
}

func (r Rollout) sums(podReady time.Duration) string {
	if r.Stuck != "" {
		return "It does not end: " + r.Stuck
	}
	whole := "Done after %s: the revision in flight does not become stable."
	if r.isPromoted() {
		whole = "Stable after " + clock(r.StableAfter.Duration, r.Promotions) + ", done after %s."
	}
	parts := []string{fmt.Sprintf(whole, clock(r.DoneAfter.Duration, r.Promotions))}
	switch r.Promotions {
	case 0:
	case 1:
		parts = append(parts, "The + is the time until somebody promotes.")
	default:
		parts = append(parts, fmt.Sprintf("The + is the time until somebody promotes, %d times.", r.Promotions))
	}
	if slices.ContainsFunc(r.Stages, func(stage forecast.Stage) bool { return stage.IsAnalysis }) {
		parts = append(parts, "An analysis takes at least the time that is shown for it, in addition to the scrape interval, and at most its duration.")
	}
	if len(r.UnknownMetrics) > 0 {
		parts = append(parts, "Not known here, and assumed to pass at once: CanaryMetric "+strings.Join(r.UnknownMetrics, ", ")+".")
	}
	parts = append(parts, fmt.Sprintf("At most %d pods at once (stable+canary+former).", r.PeakPods))
	if podReady == 0 {
		parts = append(parts, "Assumes that pods are ready immediately: set --pod-ready to the time that they need.")
	}
	return strings.Join(parts, " ")
}

func (r Rollout) isPromoted() bool {
	return slices.ContainsFunc(r.Stages, func(stage forecast.Stage) bool { return stage.Name == forecast.NameCommit })
}
