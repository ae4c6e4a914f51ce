// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"strings"
	"unicode"
)

// The lengths, in bytes, that texts of others may have in a result.
const (
	maxName  = 63
	maxText  = 256
	maxValue = 100
)

// clean returns a text on one line, without characters that cannot be printed, and cut to a length.
func clean(text string, length int) string {
	if len(text) > 4*length {
		text = text[:4*length]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar, unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= length {
		return text
	}
	const dots = "..."
	end := 0
	for i := range text {
		if i > length-len(dots) {
			break
		}
		end = i
	}
	return text[:end] + dots
}
