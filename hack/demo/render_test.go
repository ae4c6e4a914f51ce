// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func TestBar(t *testing.T) {
	for name, c := range map[string]struct {
		view view
		want string
	}{
		"nothing":         {view{}, ".........."},
		"all":             {view{desired: 100, verified: 100, measured: 100}, "##########"},
		"on the way up":   {view{desired: 60, verified: 40, measured: 20}, "##==--...."},
		"on the way back": {view{measured: 40}, "####......"},
		"unmeasured":      {view{desired: 50, verified: 50, measured: -1}, "=====....."},
	} {
		if got := (style{ascii: true}).bar(c.view, 10); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestLine(t *testing.T) {
	v := view{step: "12/12", state: v1alpha1.StateProgressing, version: "v2", desired: 100, verified: 100, measured: 100, evidence: -1}
	want := "12/12 Progressing ################ v2: desired 100% verified 100% measured 100%"
	if got := (style{ascii: true}).line(v, 79); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v.evidence = 43
	want = "12/12 Progressing ############### v2: evidence  43% verified 100% measured 100%"
	if got := (style{ascii: true}).line(v, 79); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for width := range 140 {
		if got := utf8.RuneCountInString(style{}.line(v, width)); got > width {
			t.Errorf("%d wide on a terminal of %d", got, width)
		}
	}
	if got := (style{}).line(v, 79); strings.Contains(got, "\x1b") {
		t.Errorf("color where none is wanted: %q", got)
	}
	if got := (style{color: true}).line(v, 79); strings.Count(got, "\x1b[0m") != 4 {
		t.Errorf("want color for the bar and three words: %q", got)
	}
}

func TestShares(t *testing.T) {
	for weight, want := range map[string][2]int{"": {0, 0}, "0": {0, 0}, "100": {100, 100}, "10->20": {10, 20}, "40->0": {40, 0}} {
		if verified, desired := shares(weight); [2]int{verified, desired} != want {
			t.Errorf("%q: got verified %d, desired %d, want %v", weight, verified, desired, want)
		}
	}
}

// A lost or leaked request must not be rounded away.
func TestPercent(t *testing.T) {
	for share, want := range map[float64]int{0: 0, 0.001: 1, 0.1: 10, 0.406: 41, 0.999: 99, 1: 100} {
		if got := percent(share); got != want {
			t.Errorf("%f: got %d, want %d", share, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	if got, want := wrap("one two three averylongword", "  ", 8), "one two\n  three\n  averylongword"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := wrap("one two", "  ", 0), "one two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindScenario(t *testing.T) {
	if _, err := findScenario(defaultScenario); err != nil {
		t.Error(err)
	}
	const want = `there is no scenario "x"; there are: abort, bad-version, dying-canary, gitops, release, supersede`
	if _, err := findScenario("x"); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The patch of the bad version is what users copy: a field that the API does not have would be lost without a word.
func TestAnalysisPatch(t *testing.T) {
	content, err := os.ReadFile("analysis.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var patch struct {
		Spec struct {
			Steps []v1alpha1.Step `json:"steps"`
		} `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(content, &patch); err != nil {
		t.Fatal(err)
	}
	if len(patch.Spec.Steps) != 7 || patch.Spec.Steps[4].Kind() != v1alpha1.StepAnalysis {
		t.Errorf("the steps are %+v", patch.Spec.Steps)
	}
}
