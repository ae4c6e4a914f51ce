// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestCheck: the label that the controller sets never counts, every other one of the selector does.
func TestCheck(t *testing.T) {
	pod := map[string]string{"app": "reviews", "version": "v1"}
	for name, tc := range map[string]struct {
		selector                  map[string]string
		wantTemplate, wantServing string
	}{
		"none":           {nil, v1alpha1.ReasonServiceWithoutSelector, ""},
		"a label":        {map[string]string{"app": "reviews"}, "", ""},
		"our label":      {map[string]string{"app": "reviews", v1alpha1.RevisionLabel: "aaa"}, "", ""},
		"another value":  {map[string]string{"version": "v2"}, v1alpha1.ReasonServiceSelectorMismatch, v1alpha1.ReasonServiceSelectorMismatch},
		"one label more": {map[string]string{"app": "reviews", "tier": "web"}, v1alpha1.ReasonServiceSelectorMismatch, v1alpha1.ReasonServiceSelectorMismatch},
	} {
		if got := reasonOf(CheckTemplate("books", tc.selector, pod)); got != tc.wantTemplate {
			t.Errorf("%s: template: %q, want %q", name, got, tc.wantTemplate)
		}
		if got := reasonOf(CheckServing("books", "aaa", tc.selector, pod)); got != tc.wantServing {
			t.Errorf("%s: serving: %q, want %q", name, got, tc.wantServing)
		}
	}
}

func reasonOf(problem *plan.Problem) string {
	if problem == nil {
		return ""
	}
	return problem.Reason
}
