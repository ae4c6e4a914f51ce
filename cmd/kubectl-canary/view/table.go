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
	// shrink are the columns to cut if the table is too wide, in this order.
	shrink []int
	// tails are the columns whose end is more important than their beginning, such as images.
	tails []int
	// optional drops the last column if only little of it would fit.
	optional bool
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const (
	gap = 2
	// least is the width below which a column is not cut.
	least = 12
	// little is the width below which an optional column is dropped.
	little = 20
)

// natural returns the full widths of the columns, and by how much they exceed the terminal.
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

// lines returns the rows without trailing spaces.
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

// Columns aligns rows of plain text. If they are too wide, a column is cut.
func Columns(rows [][]string, width, shrink int) []string {
	t := &table{shrink: []int{shrink}}
	for _, row := range rows {
		t.add(plain(row...)...)
	}
	return t.lines(Style{Width: width})
}

// join joins lines into a text. Newlines in a line become spaces, so that no value from an object starts a line.
func join(lines []string) string {
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(oneLine(line) + "\n")
	}
	return text.String()
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
