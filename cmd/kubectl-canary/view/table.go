// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// cell is a field of a table.
type cell struct{ text, color string }

func plain(texts ...string) []cell {
	var cells []cell
	for _, text := range texts {
		cells = append(cells, cell{text: text})
	}
	return cells
}

// table has columns that are as wide as their widest field.
type table struct {
	rows [][]cell
	// shrink are the columns that are cut where the table is too wide, in this order.
	shrink []int
	// tails are columns of which the end says more than the beginning, as that of an image does.
	tails []int
	// optional says that the last column goes altogether where little of it would be left.
	optional bool
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const (
	gap = 2
	// least is how much of a column that is cut stays, where there is so much.
	least = 12
	// little is how much of an optional column is not worth its place.
	little = 20
)

// natural is how wide the columns would be, and by how much they are too wide for the terminal.
func (t *table) natural(s Style) (widths []int, over int) {
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	if s.Width <= 0 {
		return widths, 0
	}
	over = gap*(len(widths)-1) - s.Width
	for _, width := range widths {
		over += width
	}
	return widths, max(over, 0)
}

func (t *table) widths(s Style) []int {
	widths, over := t.natural(s)
	if last := len(widths) - 1; t.optional && over > 0 && widths[last]-over < little {
		over = max(over-widths[last]-gap, 0)
		widths = widths[:last]
	}
	for _, column := range t.shrink {
		if column >= len(widths) {
			continue
		}
		less := min(over, max(widths[column]-least, 0))
		widths[column] -= less
		over -= less
	}
	return widths
}

// lines are the rows, none with spaces at its end.
func (t *table) lines(s Style) []string {
	widths := t.widths(s)
	var lines []string
	for _, row := range t.rows {
		var line strings.Builder
		spaces := 0
		for i, c := range row[:min(len(row), len(widths))] {
			text := s.cut(c.text, widths[i])
			if slices.Contains(t.tails, i) {
				text = s.cutHead(c.text, widths[i])
			}
			if text != "" {
				line.WriteString(strings.Repeat(" ", spaces) + s.paint(c.color, text))
				spaces = 0
			}
			spaces += widths[i] - utf8.RuneCountInString(text) + gap
		}
		lines = append(lines, line.String())
	}
	return lines
}

// join makes a text of lines. What somebody wrote into an object makes no line of its own.
func join(lines []string) string {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(oneLine(line) + "\n")
	}
	return text.String()
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
