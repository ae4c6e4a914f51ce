// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs holds the user documentation. Its test keeps it in step with the code.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestOperationsNamesAll demands that docs/operations.md has every string that alerts and tools may rely on.
func TestOperationsNamesAll(t *testing.T) {
	operations := read(t, "operations.md")
	events, rest, _ := strings.Cut(operations, "\n## Conditions\n")
	types, reasons, found := strings.Cut(rest, "\n### Reasons")
	if !found {
		t.Fatal("operations.md has lost the headings that this test goes by")
	}
	tests := map[string]struct {
		file, prefix, section string
		atLeast               int
	}{
		"Event reasons":     {"../controllers/plan/events.go", "Event", events, 15},
		"condition types":   {"../api/v1alpha1/conditions.go", "Condition", types, 7},
		"condition reasons": {"../api/v1alpha1/conditions.go", "Reason", reasons, 30},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			values := constants(t, tc.file, tc.prefix)
			if len(values) < tc.atLeast {
				t.Errorf("%s has %d constants %s..., expected %d or more: have they moved?", tc.file, len(values), tc.prefix, tc.atLeast)
			}
			for constant, value := range values {
				// A row of a table begins with it; a reason may be marked by a star.
				row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(value) + "`\\*? \\|")
				if !row.MatchString(tc.section) {
					t.Errorf("operations.md has no row for `%s` (%s)", value, constant)
				}
			}
		})
	}
}

// constants are the string constants of a file whose names begin so, by name.
func constants(t *testing.T, file, prefix string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, declaration := range parsed.Decls {
		group, isGroup := declaration.(*ast.GenDecl)
		if !isGroup || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			addConstants(t, values, spec.(*ast.ValueSpec), prefix)
		}
	}
	return values
}

func addConstants(t *testing.T, values map[string]string, spec *ast.ValueSpec, prefix string) {
	t.Helper()
	for i, name := range spec.Names {
		if !strings.HasPrefix(name.Name, prefix) {
			continue
		}
		var literal *ast.BasicLit
		if i < len(spec.Values) {
			literal, _ = spec.Values[i].(*ast.BasicLit)
		}
		if literal == nil || literal.Kind != token.STRING {
			t.Errorf("%s is no string literal", name.Name)
			continue
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		values[name.Name] = value
	}
}

// TestFlagsAreNamed demands that every flag of the manager is described.
func TestFlagsAreNamed(t *testing.T) {
	operations := read(t, "operations.md")
	flags := regexp.MustCompile(`flags\.\w+Var\(&o\.\w+, "([a-z-]+)"`).FindAllStringSubmatch(read(t, "../cmd/manager/main.go"), -1)
	if len(flags) == 0 {
		t.Fatal("no flag was found: have they moved?")
	}
	for _, flag := range flags {
		if !strings.Contains(operations, "| `--"+flag[1]+"` |") {
			t.Errorf("operations.md has no row for --%s", flag[1])
		}
	}
}

// pages are all documents: those in this folder, and the README.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(files, "../README.md")
}

// TestIndexNamesAll demands that the map of the documentation leads to every page.
func TestIndexNamesAll(t *testing.T) {
	index := read(t, "index.md")
	for _, page := range pages(t) {
		if page != "index.md" && !strings.Contains(index, "]("+page+")") {
			t.Errorf("index.md has no link to %s", page)
		}
	}
}

// TestWarningsAreNamed demands that every warning of a plan is described.
func TestWarningsAreNamed(t *testing.T) {
	planning := read(t, "planning.md")
	ids := constants(t, "../controllers/forecast/warnings.go", "Warn")
	if len(ids) < 10 {
		t.Errorf("found %d warnings only: have they moved?", len(ids))
	}
	for _, id := range ids {
		if !strings.Contains(planning, "| `"+id+"` |") {
			t.Errorf("planning.md has no row for %s", id)
		}
	}
}

// link is [text](target); one in backquotes is none.
var (
	link  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	fence = regexp.MustCompile("(?ms)^```.*?^```$")
	quote = regexp.MustCompile("`[^`\n]*`")
)

// TestLinks demands that every relative link leads to a file, and to a heading where it names one.
func TestLinks(t *testing.T) {
	for _, file := range pages(t) {
		text := quote.ReplaceAllString(fence.ReplaceAllString(read(t, file), ""), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			checkLink(t, file, match[1])
		}
	}
}

func checkLink(t *testing.T, from, to string) {
	t.Helper()
	path, anchor, _ := strings.Cut(to, "#")
	target := from
	if path != "" {
		target = filepath.Join(filepath.Dir(from), path)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s: %v", from, to, err)
		return
	}
	if anchor != "" && !headings(read(t, target))[anchor] {
		t.Errorf("%s links to %s, and %s has no such heading", from, to, target)
	}
}

// headings are the anchors that a renderer makes of the headings of a document.
func headings(text string) map[string]bool {
	anchors := map[string]bool{}
	for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
		title, isHeading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if isHeading && strings.HasPrefix(line, "#") {
			anchors[anchorOf(title)] = true
		}
	}
	return anchors
}

func anchorOf(title string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		default:
			return -1
		}
	}, strings.ToLower(strings.TrimSpace(title)))
	return kept
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
