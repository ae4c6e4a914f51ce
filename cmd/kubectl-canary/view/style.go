// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package view formats rollouts for a terminal as text, bars and trees. It is pure: typed values come in, text goes
// out. It has no client, no clock and no terminal; the time and the width of the terminal are arguments.
package view

import (
	"strings"
	"unicode/utf8"
)

// Style is what the output can display.
type Style struct {
	// Rich allows colors and icons; without it the text is plain ASCII.
	Rich bool
	// Width is the number of columns; 0 means unlimited.
	Width int
}

// wide is the width from which there is room for details that are left out at 80 columns.
const wide = 120

func (s Style) isWide() bool { return s.Width >= wide }

// Escape codes of a terminal.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s Style) paint(code, text string) string {
	if !s.Rich || code == "" || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// glyph returns the icon, or its replacement in plain text.
func (s Style) glyph(rich, plain string) string {
	if s.Rich {
		return rich
	}
	return plain
}

// cut truncates text to a width and marks the cut.
func (s Style) cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	mark := s.glyph("…", "...")
	keep := max(width-utf8.RuneCountInString(mark), 0)
	return string([]rune(text)[:keep]) + mark
}

// cutHead is like cut, but keeps the end of the text.
func (s Style) cutHead(text string, width int) string {
	length := utf8.RuneCountInString(text)
	if length <= width {
		return text
	}
	mark := s.glyph("…", "...")
	keep := max(width-utf8.RuneCountInString(mark), 0)
	return mark + string([]rune(text)[length-keep:])
}

// Wrap breaks text between words. The first line begins with one indent, and the others with another. A word wider than
// the width gets its own line. Without a positive width, it breaks nothing.
func Wrap(text string, width int, first, other string) []string {
	if width <= 0 {
		return []string{first + text}
	}
	var lines []string
	line, space := first, ""
	for word := range strings.FieldsSeq(text) {
		if space != "" && utf8.RuneCountInString(line+space+word) > width {
			lines = append(lines, line)
			line, space = other, ""
		}
		line, space = line+space+word, " "
	}
	return append(lines, line)
}
