// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Step describes a step in a few words, beginning with its name in the manifest.
func Step(step v1alpha1.Step) string {
	short, details := plan.Describe(&step)
	return strings.TrimSpace(short + " " + details)
}

// steps lists the steps, each marked as done, current or to come.
func (r Rollout) steps(s Style, width int) []string {
	steps := r.Object.Spec.Steps
	if len(steps) == 0 {
		return nil
	}
	current := r.currentStep()
	title := "Steps:"
	if current < 0 {
		title = "Steps of the next release:"
	}
	lines := []string{s.paint(bold, title)}
	digits := len(fmt.Sprint(len(steps)))
	for i, step := range steps {
		text := s.cut(fmt.Sprintf("%*d  %s", digits, i+1, Step(step)), width-4)
		lines = append(lines, "  "+stepLine(s, text, i, current))
	}
	return lines
}

func stepLine(s Style, text string, index, current int) string {
	switch {
	case index < current:
		return s.paint(green, s.glyph("✔", "x")) + " " + text
	case index == current:
		return s.paint(yellow, s.glyph("▶", ">")) + " " + s.paint(bold, text)
	default:
		return s.paint(dim, s.glyph("·", ".")+" "+text)
	}
}
