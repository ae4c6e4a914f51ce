// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"
)

// TestTablesOfAnalysis: the page has the figures that the tests of the analysis measure.
func TestTablesOfAnalysis(t *testing.T) {
	page := read(t, "analysis.md")
	for _, table := range []string{"detection", "requests", "clusters"} {
		if !strings.Contains(page, "\n"+read(t, "../controllers/analysis/testdata/"+table+".golden")+"\n") {
			t.Errorf("analysis.md does not have the table of controllers/analysis/testdata/%s.golden", table)
		}
	}
}
