// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// TestPage checks what programs get of some states. Its golden files are what the page of the dashboard is written for.
func TestPage(t *testing.T) {
	for _, name := range []string{"timed-pause", "analyzing", "degraded", "aborted", "unseen"} {
		t.Run(name, func(t *testing.T) {
			scene, found := scenes()[name]
			if !found {
				t.Fatal("there is no such scene")
			}
			got, err := json.MarshalIndent(scene.Page(), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/page-"+name+".golden", string(got)+"\n")
		})
	}
}

// TestPageHasLists checks that what is a list is one, also if it is empty: a page need not distinguish null from none.
func TestPageHasLists(t *testing.T) {
	for name, scene := range scenes() {
		encoded, err := json.Marshal(scene.Page())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(encoded), ":null") {
			t.Errorf("%s has a null: %s", name, encoded)
		}
	}
}

// TestPageStepsEdited checks that the times of steps that no longer exist are left out.
func TestPageStepsEdited(t *testing.T) {
	scene := weightStep()
	scene.Object.Spec.Steps = scene.Object.Spec.Steps[:1]
	if steps := scene.Page().Steps; len(steps) != 1 || steps[0].EndedAt == nil || steps[0].WaitingSeconds != 3 {
		t.Errorf("the steps are %+v", steps)
	}
}

// TestPageAgrees checks that a page and the text for terminals tell the same steps.
func TestPageAgrees(t *testing.T) {
	for name, scene := range scenes() {
		page, text := scene.Page(), scene.Render(Style{Width: 200}, now)
		if len(page.Steps) != len(scene.Object.Spec.Steps) {
			t.Errorf("%s has %d steps", name, len(page.Steps))
		}
		if page.CurrentStep >= 0 && page.CurrentStep < len(page.Steps) {
			current := page.Steps[page.CurrentStep].What
			if !strings.Contains(text, "> "+string(rune('1'+page.CurrentStep))+"  "+current) {
				t.Errorf("%s: the current step is %q, but the text is\n%s", name, current, text)
			}
		}
	}
}
