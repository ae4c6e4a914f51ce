// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// cases returns the manifests of the test data by the names of their directories.
func cases(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(files) < 11 {
		tb.Fatalf("got %d files, error %v", len(files), err)
	}
	contents := map[string][]byte{}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			tb.Fatal(err)
		}
		contents[filepath.Base(filepath.Dir(file))] = content
	}
	return contents
}

// converted returns the result of a file, its objects as text, and its report.
func converted(tb testing.TB, content []byte) (result Result, objects, report string) {
	tb.Helper()
	result = Convert([]lint.Source{{Name: "in.yaml", Content: content}}, Options{})
	var texts []string
	for _, object := range result.Objects {
		content, err := object.YAML()
		if err != nil {
			tb.Fatal(err)
		}
		texts = append(texts, string(content))
	}
	return result, strings.Join(texts, "---\n"), lines(result.Report)
}

func lines(entries []Entry) string {
	var text strings.Builder
	for _, entry := range entries {
		text.WriteString(entry.String() + "\n")
	}
	return text.String()
}

func TestGolden(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			_, objects, report := converted(t, content)
			golden.Check(t, filepath.Join("testdata", name, "out.yaml"), objects)
			golden.Check(t, filepath.Join("testdata", name, "report.txt"), report)
		})
	}
}

// TestAccepted checks each result as lint does. An integration test sends the results to a real API server.
func TestAccepted(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			result, _, _ := converted(t, content)
			entries, err := result.Check(t.Context())
			if err != nil || len(entries) > 0 {
				t.Errorf("error %v, findings:\n%s", err, lines(entries))
			}
		})
	}
}

// TestDeterministic converts each file again and again: the order of maps must not matter.
func TestDeterministic(t *testing.T) {
	for name, content := range cases(t) {
		_, objects, report := converted(t, content)
		for range 5 {
			_, again, reportAgain := converted(t, content)
			if diff := cmp.Diff(objects+report, again+reportAgain); diff != "" {
				t.Fatalf("%s: a second conversion differs:\n%s", name, diff)
			}
		}
	}
}

// TestStable converts each result: there is nothing left to convert, and it stays as it is.
func TestStable(t *testing.T) {
	for name, content := range cases(t) {
		_, objects, _ := converted(t, content)
		result, again, report := converted(t, []byte(objects))
		if diff := cmp.Diff(objects, again); diff != "" || report != "" || result.Converted != 0 {
			t.Errorf("%s: %d converted, report %q, diff:\n%s", name, result.Converted, report, diff)
		}
	}
}
