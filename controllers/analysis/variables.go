// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The variables that the texts of a metric may contain, as {{name}}. Arguments are named VariableArgument + their name. In
// a comparison, the service, the revision and the replica set are those of the side that is counted; elsewhere, those of the
// canary.
const (
	VariableNamespace        = "namespace"
	VariableRollout          = "rollout"
	VariableStableService    = "stableService"
	VariableCanaryService    = "canaryService"
	VariableStableRevision   = "stableRevision"
	VariableCanaryRevision   = "canaryRevision"
	VariableStableReplicaSet = "stableReplicaSet"
	VariableCanaryReplicaSet = "canaryReplicaSet"
	VariableService          = "service"
	VariableRevision         = "revision"
	VariableReplicaSet       = "replicaSet"
	VariableWindow           = "window"
	VariableArgument         = "args."
)

// VariableNames are the names of the variables of every metric. In addition, a CanaryMetric has its arguments.
var VariableNames = []string{
	VariableNamespace, VariableRollout, VariableStableService, VariableCanaryService, VariableStableRevision, VariableCanaryRevision,
	VariableStableReplicaSet, VariableCanaryReplicaSet, VariableService, VariableRevision, VariableReplicaSet, VariableWindow,
}

// variable is {{name}}. What is in the braces is checked by its value, so that a typing error is seen and not left in the text.
var variable = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// Expand returns the text with each variable replaced by its value. Values are inserted as they are: a variable in a value is
// not replaced. An unknown variable is an error that lists the known ones, and so is one that is not closed.
func Expand(text string, values map[string]string) (string, error) {
	var unknown []string
	expanded := variable.ReplaceAllStringFunc(text, func(match string) string {
		name := nameOf(match)
		value, isKnown := values[name]
		if !isKnown {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
		return value
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("unknown variable %s: use one of %s",
			strings.Join(slices.Compact(unknown), ", "), strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	if _, rest, isOpen := strings.Cut(variable.ReplaceAllLiteralString(text, ""), "{{"); isOpen {
		return "", fmt.Errorf("{{ without }} before %.20q: a variable is written as {{name}}", rest)
	}
	return expanded, nil
}

// Variables returns the names of the variables in a text, sorted, each once.
func Variables(text string) []string {
	var names []string
	for _, match := range variable.FindAllString(text, -1) {
		names = append(names, nameOf(match))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// nameOf returns the name in {{ name }}.
func nameOf(match string) string {
	return strings.TrimSpace(match[len("{{") : len(match)-len("}}")])
}
