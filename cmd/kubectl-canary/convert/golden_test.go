// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// cases returns the manifests of the test data by the names of their directories.
func cases(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("got %d files, error %v", len(files), err)
	}
	contents := map[string][]byte{}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		contents[filepath.Base(filepath.Dir(file))] = content
	}
	return contents
}

// converted returns the result and the report as texts.
func converted(t *testing.T, content []byte) (Result, string, string) {
	t.Helper()
	result := Convert([]lint.Source{{Name: "in.yaml", Content: content}}, Options{})
	var objects []string
	for _, object := range result.Objects {
		content, err := object.YAML()
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, string(content))
	}
	var entries strings.Builder
	for _, entry := range result.Report {
		entries.WriteString(entry.String() + "\n")
	}
	return result, strings.Join(objects, "---\n"), entries.String()
}

func TestGolden(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			_, objects, entries := converted(t, content)
			golden.Check(t, filepath.Join("testdata", name, "out.yaml"), objects)
			golden.Check(t, filepath.Join("testdata", name, "report.txt"), entries)
		})
	}
}

// TestAccepted checks each result as lint does, with warnings: an apply of it must not be refused.
func TestAccepted(t *testing.T) {
	for name, content := range cases(t) {
		t.Run(name, func(t *testing.T) {
			result, _, _ := converted(t, content)
			entries, err := result.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				t.Error(entry)
			}
		})
	}
}
