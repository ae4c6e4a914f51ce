// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"regexp"
	"strings"
	"unicode"
)

// painted matches the colors of package view. The text between matches has to be made safe.
var painted = regexp.MustCompile(`\x1b\[(?:[0-2]|3[1-6])m`)

// safe removes what a terminal would act on: control characters except tabs and newlines, and those that change the
// writing direction. Messages, images and names come from anyone who may write objects in the cluster. They could move
// the cursor, change the window title or hide adjacent text. Colors are harmless.
func safe(text string) string {
	var clean strings.Builder
	for text != "" {
		length, color := len(text), ""
		if next := painted.FindStringIndex(text); next != nil {
			length, color = next[0], text[next[0]:next[1]]
		}
		clean.WriteString(strings.Map(harmless, text[:length]))
		clean.WriteString(color)
		text = text[length+len(color):]
	}
	return clean.String()
}

func harmless(r rune) rune {
	if r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return -1
	}
	return r
}

// safeWriter writes the safe part of each text.
type safeWriter struct{ io.Writer }

func (w safeWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, safe(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
