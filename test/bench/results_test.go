// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
)

// sampleResults has two versions, of which one has a figure that the other does not have.
func sampleResults() *results {
	r := newResults(&options{runs: 2})
	for _, n := range []int{10, 100} {
		for _, value := range []float64{64, 66} {
			r.add("old", n, "fleet", "requests per rollout", "", value)
			r.add("old", n, "idle", "memory of the manager", "MiB", float64(n))
			r.add("present", n, "fleet", "get canaryrollouts", "", 0.5)
			r.add("present", n, "fleet", "requests per rollout", "", 30)
		}
	}
	return r
}

// TestMarkdown: rows of a scenario stand together, cells have the median and the range, and what a version does not have is
// not shown as zero.
func TestMarkdown(t *testing.T) {
	const want = `
## 10 rollouts

| Scenario | Figure | old | present |
| --- | --- | --- | --- |
| fleet | requests per rollout | 65 (64–66) | 30 |
| fleet | get canaryrollouts | – | 0.5 |
| idle | memory of the manager [MiB] | 10 | – |
`
	text := sampleResults().markdown()
	if !strings.Contains(text, want) {
		t.Errorf("got %s, want %s", text, want)
	}
	if growth := "old: each idle rollout takes 1024 KiB of the manager's memory, from 10 to 100 rollouts."; !strings.Contains(text, growth) {
		t.Errorf("%s does not say: %s", text, growth)
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 0.04: "0.04", 0.0416: "0.0416", 1: "1", 1.25: "1.25", 12.34: "12.3", 186.8: "187", 64000: "64000", -2.5: "-2.5"} {
		if got := number(value); got != want {
			t.Errorf("number(%v) is %q, want %q", value, got, want)
		}
	}
}

// TestChart: the chart is well-formed. It has a panel for each figure that was measured, and a point for each version and number of
// rollouts.
func TestChart(t *testing.T) {
	svg, err := sampleResults().chart()
	if err != nil {
		t.Fatal(err)
	}
	elements := map[string]int{}
	for decoder := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	// Two versions in the panel of requests, and one in that of memory.
	if elements["circle"] != 6 || elements["path"] != 2 {
		t.Errorf("%d panels with %d points, want 2 with 6:\n%s", elements["path"], elements["circle"], svg)
	}
}

// TestFlags: a number or a scenario that does not exist is refused.
func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-n=200,10 -scenarios=fleet,idle": "",
		"-n=0":                            `"0" is not a number from 1 to 5000`,
		"-n=10,":                          `"" is not a number from 1 to 5000`,
		"-scenarios=calm":                 `there is no scenario "calm"`,
	} {
		o, flags := &options{}, flag.NewFlagSet("bench", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		o.define(flags)
		err := flags.Parse(strings.Fields(args))
		if want == "" && (err != nil || !slices.Equal(o.sizes, []int{10, 200}) || !o.measures("idle") || o.measures("storm")) {
			t.Errorf("%s: %v, %+v", args, err, o)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
