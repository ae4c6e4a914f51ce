// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// quoted is a message in the first column of a table, with dots where it has names.
	quoted = regexp.MustCompile("(?m)^\\| `([^`]* [^`]*\\.\\.\\.[^`]*)` \\|")
	// joined is where Go code breaks a text over two lines, and verb is where a text has a name or a number.
	joined = regexp.MustCompile(`["` + "`" + `] \+\s+["` + "`" + `]`)
	verb   = regexp.MustCompile(`%[-+]?\w|\.\.\.|\b\d+\b`)
)

// composed are the parts that the code composes of two texts.
var composed = map[string]bool{
	"available pods of revision": true, "ready endpoints of revision": true, "would get no request: port": true,
	"is not verified: Gateway": true, "ResolvedRefs is False": true,
}

// TestQuotedMessages: the messages that the pages quote are those that the operator writes, apart from names and numbers.
func TestQuotedMessages(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"../controllers/*/*.go", "../controllers/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				source.Write(content)
			}
		}
	}
	written := verb.ReplaceAllString(joined.ReplaceAllString(source.String(), ""), "...")
	checked := 0
	for _, page := range []string{"troubleshooting.md", "backup.md"} {
		for _, message := range quoted.FindAllStringSubmatch(read(t, page), -1) {
			for part := range strings.SplitSeq(verb.ReplaceAllString(message[1], "..."), "...") {
				// What remains of "HTTPRoute ... is" is a name and not a text.
				if part = strings.Trim(part, " :;,"); strings.Count(part, " ") < 2 {
					continue
				}
				checked++
				if !composed[part] && !strings.Contains(written, part) {
					t.Errorf("%s quotes %q, and no message has %q", page, message[1], part)
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d parts of messages are checked", checked)
	}
}
