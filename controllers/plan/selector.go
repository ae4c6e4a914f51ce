// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// SelectorProblem returns why a Service could never select pods with these labels; nil if it could.
func SelectorProblem(service string, selector, podLabels map[string]string) *Problem {
	if len(selector) == 0 {
		return &Problem{
			Reason:  v1alpha1.ReasonServiceWithoutSelector,
			Message: fmt.Sprintf("Service %s has no selector: give it one that selects the pods of this rollout", service),
		}
	}
	if key := lacking(selector, podLabels); key != "" {
		return &Problem{
			Reason: v1alpha1.ReasonServiceSelectorMismatch,
			Message: fmt.Sprintf("Service %s selects pods by %s=%s, which spec.template.metadata.labels does not have: "+
				"add the label to the template, or take it out of the selector", service, key, selector[key]),
		}
	}
	return nil
}

// ServedProblem returns why a Service does not select the pods of the revision that it should select, which have these
// labels; nil if it does. The Service may select those of the template: if both were changed at once, the Service has no
// endpoints until the new pods exist.
func ServedProblem(service, revision string, selector, podLabels map[string]string) *Problem {
	key := lacking(selector, podLabels)
	if key == "" {
		return nil
	}
	return &Problem{
		Reason: v1alpha1.ReasonServiceSelectorMismatch,
		Message: fmt.Sprintf("Service %s selects pods by %s=%s, which the pods of revision %s, that serve, do not have: "+
			"take it out of the selector until a revision with the label is stable", service, key, selector[key], revision),
	}
}

// lacking returns the first key of a selector that pods with these labels do not match; empty if they are selected. It ignores
// pod-template-hash, which is ours.
func lacking(selector, podLabels map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if label, found := podLabels[key]; key != v1alpha1.RevisionLabel && (!found || label != selector[key]) {
			return key
		}
	}
	return ""
}
