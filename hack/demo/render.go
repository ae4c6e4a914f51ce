// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Escape codes of a terminal.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// style is what a terminal can display.
type style struct{ color, ascii bool }

func (s style) paint(code, text string) string {
	if !s.color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// view is the content of the live line: the shares of the displayed version, in percent.
type view struct {
	step              string
	state             v1alpha1.State
	version           string
	desired, verified int
	// measured is negative if there is nothing to measure.
	measured int
	// evidence against the version is negative if nothing is compared.
	evidence int
}

// String returns the line without a bar.
func (v view) String() string { return v.head() + strings.Join(v.words(), " ") }

func (v view) head() string { return fmt.Sprintf("%5s %-11s ", v.step, v.state) }

func (v view) words() []string {
	measured := "   -"
	if v.measured >= 0 {
		measured = fmt.Sprintf("%3d%%", v.measured)
	}
	words := []string{v.version + ":", fmt.Sprintf("desired %3d%%", v.desired), fmt.Sprintf("verified %3d%%", v.verified),
		"measured " + measured}
	if v.evidence >= 0 { // in place of what is often the same as the next word: 80 columns have no room for both and a bar
		words[1] = fmt.Sprintf("evidence %3d%%", v.evidence)
	}
	return words
}

// line returns a line of at most the given width. The bar uses the space that the words leave, and is omitted first.
func (s style) line(v view, width int) string {
	cells := min(width-utf8.RuneCountInString(v.String())-1, 40)
	if cells < 4 {
		return clip(v.String(), width)
	}
	words := v.words()
	colors := [...]string{"", yellow, cyan, green}
	if v.evidence >= 0 {
		colors[1] = red
	}
	for i, color := range colors {
		words[i] = s.paint(color, words[i])
	}
	return s.paint(stateColor(v.state), v.head()) + s.bar(v, cells) + " " + strings.Join(words, " ")
}

// stateColor only highlights states that need attention.
func stateColor(state v1alpha1.State) string {
	switch state {
	case v1alpha1.StateHealthy:
		return green
	case v1alpha1.StatePaused:
		return yellow
	case v1alpha1.StateDegraded, v1alpha1.StateAborting, v1alpha1.StateAborted:
		return red
	default:
		return ""
	}
}

// clip truncates text that would wrap the line.
func clip(text string, width int) string {
	return string([]rune(text)[:min(utf8.RuneCountInString(text), max(width, 0))])
}

// bar draws the three shares over each other: the measured share is solid, and what is only verified or only desired
// so far extends beyond it.
func (s style) bar(v view, cells int) string {
	glyphs := []rune("█▓▒░")
	if s.ascii {
		glyphs = []rune("#=-.")
	}
	layers := [...]struct {
		percent int
		color   string
	}{{v.measured, green}, {v.verified, cyan}, {v.desired, yellow}, {100, dim}}
	var bar strings.Builder
	drawn := 0
	for i, layer := range layers {
		upTo := max(drawn, int(math.Round(float64(layer.percent*cells)/100)))
		bar.WriteString(s.paint(layer.color, strings.Repeat(string(glyphs[i]), upTo-drawn)))
		drawn = upTo
	}
	return bar.String()
}

// percent rounds, but returns 0 and 100 only for none and all.
func percent(share float64) int {
	switch {
	case share <= 0:
		return 0
	case share >= 1:
		return 100
	default:
		return min(max(int(math.Round(100*share)), 1), 99)
	}
}

// shares parses status.weight, which is the verified share, followed by the desired one if they differ: "10->20".
func shares(weight string) (verified, desired int) {
	if n, _ := fmt.Sscanf(weight, "%d->%d", &verified, &desired); n < 2 {
		desired = verified
	}
	return verified, desired
}

// wrap breaks text between words, with indent before all lines but the first. A wider word gets its own line. Without
// a positive width, nothing is broken.
func wrap(text, indent string, width int) string {
	if width <= 0 {
		return text
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line+" "+word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n"+indent)
}
