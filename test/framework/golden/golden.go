// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package golden compares results with golden files, which tests refresh with -update.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "refresh the golden files")

// Check reports an error if the text differs from the golden file. With -update, it writes the file first.
func Check(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Clean(file), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test -update refreshes it:\n%s", file, diff)
	}
}
