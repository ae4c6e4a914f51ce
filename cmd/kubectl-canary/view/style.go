// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package view puts rollouts into words, bars and trees for a terminal. It is pure: typed values come in, text goes out.
// It has no client, no clock and no terminal; what time it is and how wide the terminal is are arguments.
package view

import (
	"strings"
	"unicode/utf8"
)

// Style is what the output can show.
type Style struct {
	// Rich allows colour and icons; without it the text is plain ASCII.
	Rich bool
	// Width is how many columns there are; 0 for as many as it takes.
	Width int
}

// wide is from how many columns on there is room for what is not needed at 80.
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

// glyph is the icon, or what stands for it in plain text.
func (s Style) glyph(rich, plain string) string {
	if s.Rich {
		return rich
	}
	return plain
}

// cut shortens text to a width, and shows that it did.
func (s Style) cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	mark := s.glyph("…", "...")
	keep := max(width-utf8.RuneCountInString(mark), 0)
	return string([]rune(text)[:keep]) + mark
}

// cutHead is cut for text of which the end says most.
func (s Style) cutHead(text string, width int) string {
	length := utf8.RuneCountInString(text)
	if length <= width {
		return text
	}
	mark := s.glyph("…", "...")
	keep := max(width-utf8.RuneCountInString(mark), 0)
	return mark + string([]rune(text)[length-keep:])
}

// wrap breaks text between words. A word that is wider stands alone; without a positive width nothing is broken.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
