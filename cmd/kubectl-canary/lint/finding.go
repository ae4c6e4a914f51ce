// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"strings"
)

// Severity is how serious a finding is.
type Severity string

const (
	// Error means that the API server or the controller would reject it.
	Error Severity = "Error"
	// Warning is a risk that may be intended.
	Warning Severity = "Warning"
	// Note means that something could not be checked.
	Note Severity = "Note"
)

// The IDs of findings. Those of warnings are in package forecast; those of Services and routes are condition reasons.
const (
	IDSyntax       = "Syntax"
	IDUnknownField = "UnknownField"
	IDInvalid      = "Invalid"
	IDUnchecked    = "Unchecked"
	IDNothing      = "NothingToCheck"
	IDNamespace    = "Namespace"
	IDNoGateway    = "RouteWithoutGateway"
	IDDuplicate    = "Duplicate"
	IDForeign      = "Foreign"
	IDExternalName = "ExternalName"
	IDServicePort  = "ServicePort"
	IDTargetPort   = "TargetPort"
	IDExpression   = "InvalidRegularExpression"
	// IDInvalidMetric is an unknown variable, a condition that does not compile, a counter that is no series selector, or
	// arguments that do not fit.
	IDInvalidMetric = "InvalidMetric"
	// IDWindow is a query that looks back further than its window.
	IDWindow = "QueryBeyondWindow"
	// IDNotAboutCanary is a query that does not depend on the canary.
	IDNotAboutCanary = "NotAboutCanary"
	// IDNeverFails is a metric that tolerates all its failures.
	IDNeverFails = "NeverFails"
	// IDStepTooShort is an analysis step that ends before its metrics can pass.
	IDStepTooShort = "AnalysisTooShort"
	// IDNoRequests is a metric for which there are no requests.
	IDNoRequests = "NoRequestsToMeasure"
	// IDHiddenVariable is a variable that is set again later in the same list.
	IDHiddenVariable = "HiddenVariable"
)

// Finding is a problem in a manifest, or a note about it.
type Finding struct {
	Severity Severity `json:"severity"`
	// ID is stable: tools may rely on it.
	ID string `json:"id"`
	// File and Document are the location. Documents of a file count from 1.
	File     string `json:"file"`
	Document int    `json:"document,omitempty"`
	// Object is the kind and name of the object.
	Object string `json:"object,omitempty"`
	// Path is the field in the object.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// String formats the finding as one line, in the style of a compiler.
func (f Finding) String() string {
	parts := []string{f.File}
	if f.Document > 0 {
		parts[0] = fmt.Sprintf("%s:%d", f.File, f.Document)
	}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	if f.Severity != Error {
		parts = append(parts, strings.ToLower(string(f.Severity)))
	}
	return oneLine(strings.Join(append(parts, f.Message), ": "))
}

// oneLine joins lines, so that text from a manifest cannot start a line of its own and look like a finding.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, " ")
}
