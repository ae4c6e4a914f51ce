// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package selector checks the selector of a Service against the labels of pods.
package selector

import (
	"fmt"
	"maps"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// CheckTemplate returns why a Service could never select pods with the labels of the template, or nil.
func CheckTemplate(service string, selector, podLabels map[string]string) *plan.Problem {
	if len(selector) == 0 {
		return &plan.Problem{
			Reason:  v1alpha1.ReasonServiceWithoutSelector,
			Message: fmt.Sprintf("Service %s has no selector: give it one that selects the pods of this rollout", service),
		}
	}
	if key := mismatch(selector, podLabels); key != "" {
		return &plan.Problem{
			Reason: v1alpha1.ReasonServiceSelectorMismatch,
			Message: fmt.Sprintf("Service %s selects pods by %s=%s, which spec.template.metadata.labels does not have: "+
				"add the label to the template, or remove it from the selector", service, key, selector[key]),
		}
	}
	return nil
}

// CheckServing returns why a Service does not select the pods of the revision that it must select, or nil. It may select
// pods with the labels of the template: if both were changed at once, nothing serves until the pods are replaced.
func CheckServing(service, revision string, selector, podLabels map[string]string) *plan.Problem {
	key := mismatch(selector, podLabels)
	if key == "" {
		return nil
	}
	return &plan.Problem{
		Reason: v1alpha1.ReasonServiceSelectorMismatch,
		Message: fmt.Sprintf("Service %s selects pods by %s=%s, which the serving pods of revision %s do not have: "+
			"remove it from the selector until a revision with the label is stable", service, key, selector[key], revision),
	}
}

// mismatch returns the first key of a selector that pods with these labels do not match; empty if they match. The
// controller sets pod-template-hash itself, so it is ignored.
func mismatch(selector, podLabels map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if label, found := podLabels[key]; key != v1alpha1.RevisionLabel && (!found || label != selector[key]) {
			return key
		}
	}
	return ""
}
