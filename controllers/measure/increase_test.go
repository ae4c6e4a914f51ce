// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// promtool is the one that hack/tool.sh has built, or that is installed; empty if there is none.
func promtool() string {
	if cache, err := os.UserCacheDir(); err == nil {
		built, _ := filepath.Glob(filepath.Join(cache, "canaryrollout", "tools", "prometheus-*", "promtool"))
		if len(built) > 0 {
			return built[0]
		}
	}
	installed, _ := exec.LookPath("promtool")
	return installed
}

// TestIncrease evaluates the query of a comparison with the engine of Prometheus. Counts have to be exact: extrapolated ones would
// make the stated chance of a false alarm wrong. Series are scraped every 10 seconds, and counted every 20.
func TestIncrease(t *testing.T) {
	tool := promtool()
	if tool == "" {
		t.Skip("promtool is not built: hack/tool.sh prometheus github.com/prometheus/prometheus/cmd/promtool")
	}
	var file strings.Builder
	file.WriteString("evaluation_interval: 10s\ntests:\n")
	for _, tc := range []struct {
		name   string
		series []string // of the selector c, and others, with their values
		want   []string // at 20s, 40s and 60s; empty for no sample
	}{
		{"steady", []string{`c{job="a",instance="1"}|5 10 15 20 25 30 35`}, []string{"10", "10", "10"}},
		{"in steps", []string{`c{job="a",instance="1"}|0 0 0 7 7 7 8`}, []string{"0", "7", "1"}},
		{"a reset", []string{`c{job="a",instance="1"}|100 110 120 3 6 6 6`}, []string{"20", "6", "0"}},
		{"two resets", []string{`c{job="a",instance="1"}|100 110 2 1 4 5 6`}, []string{"2", "2", "2"}},
		{"two series", []string{`c{job="a",instance="1"}|0 1 2 3 4 5 6`, `c{job="a",instance="2"}|50 52 54 1 3 5 7`}, []string{"6", "5", "6"}},
		{"a missed scrape", []string{`c{job="a",instance="1"}|0 1 2 _ _ 5 6`}, []string{"2", "0", "4"}},
		{"a new series of a target that was up", []string{
			`c{job="a",instance="1"}|_ _ _ 3 4 5 6`, `up{job="a",instance="1"}|1x10`}, []string{"", "4", "2"}},
		{"a new series of a new target", []string{
			`c{job="a",instance="1"}|_ _ _ 3000 3001 3002 3003`, `up{job="a",instance="1"}|_ _ _ 1 1 1 1`}, []string{"", "", "2"}},
		{"a target that was down", []string{
			`c{job="a",instance="1"}|_ _ _ 3000 3001 3002 3003`, `up{job="a",instance="1"}|0 0 0 1 1 1 1`}, []string{"", "", "2"}},
		{"another target was up", []string{
			`c{job="a",instance="1"}|_ _ _ 3000 3001 3002 3003`, `up{job="a",instance="2"}|1x10`}, []string{"", "", "2"}},
		{"a series that ends", []string{`c{job="a",instance="1"}|0 1 2 3 stale`, `c{job="a",instance="2"}|0x10`}, []string{"2", "0", "0"}},
		{"nothing", []string{`d{job="a",instance="1"}|0x10`}, []string{"", "", ""}},
	} {
		fmt.Fprintf(&file, "- name: %s\n  interval: 10s\n  input_series:\n", tc.name)
		for _, series := range tc.series {
			series, values, _ := strings.Cut(series, "|")
			fmt.Fprintf(&file, "  - {series: '%s', values: '%s'}\n", series, values)
		}
		file.WriteString("  promql_expr_test:\n")
		for i, want := range tc.want {
			samples := "[]"
			if want != "" {
				samples = "[{labels: '{}', value: " + want + "}]"
			}
			fmt.Fprintf(&file, "  - {expr: '%s', eval_time: %ds, exp_samples: %s}\n", "sum("+increase("c", 20*time.Second)+")", 20*(i+1), samples)
		}
	}
	name := filepath.Join(t.TempDir(), "increase.yaml")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), tool, "test", "rules", name).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
