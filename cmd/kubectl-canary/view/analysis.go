// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"math"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// analysis shows the metrics of a release in flight, or of an aborted one: for each a row with its verdict and how far the evidence
// has come, and then what was measured, in words.
func (r Rollout) analysis(s Style) []string {
	status := r.Object.Status
	if !r.showsAnalysis() {
		return nil
	}
	t := &table{shrink: []int{0}}
	header := plain("METRIC", "WHEN", "VERDICT", "TO FAIL", "TO PASS")
	if s.isWide() {
		header = append(header, plain("MEASURED", "LAST RESULT")...)
		t.shrink = []int{6, 0}
	}
	for i := range header {
		header[i].color = bold
	}
	t.add(header...)
	for i := range status.Analysis {
		t.add(r.metricRow(s, &status.Analysis[i])...)
	}
	rows := t.lines(s)
	lines := rows[:1:1]
	for i, metric := range status.Analysis {
		lines = append(lines, rows[i+1])
		if metric.Message == "" {
			continue
		}
		for _, text := range Wrap(metric.Message, s.Width, "  ", "  ") {
			lines = append(lines, s.paint(dim, text))
		}
	}
	return lines
}

// showsAnalysis reports whether the metrics are about the release that is shown.
func (r Rollout) showsAnalysis() bool {
	status := r.Object.Status
	isInFlight := status.Memory != nil && status.Memory.Phase != "" && status.Memory.Phase != v1alpha1.PhaseIdle
	return len(status.Analysis) > 0 && (isInFlight || status.State == v1alpha1.StateAborted)
}

func (r Rollout) metricRow(s Style, metric *v1alpha1.MetricStatus) []cell {
	look, word := verdictLook(metric)
	cells := []cell{
		{text: metric.Name}, {text: strings.ToLower(string(metric.Scope))}, {strings.TrimSpace(s.glyph(look.icon, "") + " " + word), look.color},
		{s.meter(metric.FailureEvidence), red}, {s.meter(metric.PassEvidence), green},
	}
	if s.isWide() {
		measured := fmt.Sprint(metric.Measurements)
		if metric.Failures > 0 {
			measured += fmt.Sprintf(", %d bad", metric.Failures)
		}
		cells = append(cells, plain(measured, metric.Value)...)
	}
	return cells
}

// verdictLook says what the measurements say so far. A metric without a usable answer is no open one to a person who looks.
func verdictLook(metric *v1alpha1.MetricStatus) (look, string) {
	switch {
	case metric.Verdict == v1alpha1.VerdictFailed:
		return look{"✖", red}, "failed"
	case metric.Verdict == v1alpha1.VerdictPassed:
		return look{"✔", green}, "passed"
	case metric.Verdict == v1alpha1.VerdictInconclusive:
		return look{"?", yellow}, "inconclusive"
	case metric.Errors > 0:
		return look{"!", yellow}, "no answer"
	default:
		return look{"◌", cyan}, "open"
	}
}

// meter draws a percentage as a bar and a number. The bar is full only at 100 %.
func (s Style) meter(percent int32) string {
	cells := 8
	if s.isWide() {
		cells = 16
	}
	glyphs := []rune(s.glyph("█░", "#-"))
	full := int(math.Floor(float64(int(percent)*cells) / 100))
	full = min(max(full, 0), cells)
	return strings.Repeat(string(glyphs[0]), full) + strings.Repeat(string(glyphs[1]), cells-full) + fmt.Sprintf(" %3d %%", percent)
}
