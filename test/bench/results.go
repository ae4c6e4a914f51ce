// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A key names a figure. Its values, one for each run, are compared between versions.
type key struct {
	n                      int
	scenario, figure, unit string
}

// results are the figures of all turns.
type results struct {
	runs     int
	versions []string
	// keys are in the order of the tables.
	keys   []key
	values map[string]map[key][]float64 // by version
}

func newResults(o *options) *results {
	return &results{runs: o.runs, values: map[string]map[key][]float64{}}
}

func (r *results) add(version string, n int, scenario, figure, unit string, value float64) {
	k := key{n, scenario, figure, unit}
	if r.values[version] == nil {
		r.versions, r.values[version] = append(r.versions, version), map[key][]float64{}
	}
	if !slices.Contains(r.keys, k) {
		r.insert(k)
	}
	r.values[version][k] = append(r.values[version][k], value)
}

// insert puts a key behind the others of its scenario: another version may have figures that the first did not have.
func (r *results) insert(k key) {
	for i, other := range slices.Backward(r.keys) {
		if other.n == k.n && other.scenario == k.scenario {
			r.keys = slices.Insert(r.keys, i+1, k)
			return
		}
	}
	r.keys = append(r.keys, k)
}

// A summary describes the values of several runs.
type summary struct{ median, min, max float64 }

func summarize(values []float64) summary {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return summary{median, sorted[0], sorted[len(sorted)-1]}
}

// String returns the median, and the range if there is one.
func (s summary) String() string {
	median, least, most := number(s.median), number(s.min), number(s.max)
	if least == most {
		return median
	}
	return fmt.Sprintf("%s (%s–%s)", median, least, most)
}

// number has three significant digits.
func number(value float64) string {
	digits := 2
	if value != 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(value)))))
	}
	text := fmt.Sprintf("%.*f", digits, value)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// markdown has a table for each number of rollouts.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Median of %d runs, with their range. %d cores.\n", r.runs, runtime.NumCPU())
	n := 0
	for _, k := range r.keys {
		if k.n != n {
			n = k.n
			fmt.Fprintf(&b, "\n## %d rollouts\n\n| Scenario | Figure | %s |\n|%s\n", n, strings.Join(r.versions, " | "), strings.Repeat(" --- |", 2+len(r.versions)))
		}
		figure := k.figure
		if k.unit != "" {
			figure += " [" + k.unit + "]"
		}
		fmt.Fprintf(&b, "| %s | %s |", k.scenario, figure)
		for _, version := range r.versions {
			cell := "–"
			if values := r.values[version][k]; len(values) > 0 {
				cell = summarize(values).String()
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	b.WriteString(r.growth())
	return b.String()
}

// growth says how much memory each further rollout takes.
func (r *results) growth() string {
	var b strings.Builder
	for _, version := range r.versions {
		points := r.points(version, "idle", "memory of the manager", "MiB")
		if len(points) < 2 {
			continue
		}
		first, last := points[0], points[len(points)-1]
		fmt.Fprintf(&b, "\n%s: each idle rollout takes %s KiB of the manager's memory, from %d to %d rollouts.\n", version,
			number(1024*(last.value.median-first.value.median)/float64(last.n-first.n)), first.n, last.n)
	}
	return b.String()
}

// A point is a figure for a number of rollouts.
type point struct {
	n     int
	value summary
}

// points returns a figure over the number of rollouts.
func (r *results) points(version, scenario, figure, unit string) (points []point) {
	for _, k := range r.keys {
		values := r.values[version][k]
		if k.scenario == scenario && k.figure == figure && k.unit == unit && len(values) > 0 {
			points = append(points, point{k.n, summarize(values)})
		}
	}
	return points
}

// write writes the tables and the chart.
func (r *results) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "results.md"), []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	chart, err := r.chart()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "cost.svg"), chart, 0o644)
}
