// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"regexp"
	"strings"
	"unicode"
)

// painted are the colours of the package view; the groups around them are what has to be safe.
var painted = regexp.MustCompile(`\x1b\[(?:[0-2]|3[1-6])m`)

// safe takes out of a text what a terminal would obey: control characters but for tabs and the ends of lines, and those
// that change the direction of writing. Messages, images and names come from anyone who may write objects in the cluster, and
// could move the cursor, retitle the window or hide what stands beside them. Colours do no such harm.
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

// safeWriter writes what is safe of each text.
type safeWriter struct{ io.Writer }

func (w safeWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, safe(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
