// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

const (
	// Error is what the API server or the controller would refuse.
	Error Severity = "Error"
	// Warning is a risk that somebody may want.
	Warning Severity = "Warning"
	// Note is what could not be checked.
	Note Severity = "Note"
)

// The ids of findings. Those of warnings are of package forecast, those of Services and routes are condition reasons.
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
	IDExpression   = "InvalidExpression"
	// IDHiddenVariable is a variable that is set again later in the same list.
	IDHiddenVariable = "HiddenVariable"
)

// Finding is something to know about a manifest.
type Finding struct {
	Severity Severity `json:"severity"`
	// ID is stable: tools may rely on it.
	ID string `json:"id"`
	// File and Document say where: documents of a file count from 1.
	File     string `json:"file"`
	Document int    `json:"document,omitempty"`
	// Object is the kind and name of the object.
	Object string `json:"object,omitempty"`
	// Path is the field in the object.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
}

// String is the finding in one line, as compilers write it.
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

// oneLine joins lines: what is in a manifest makes no line of its own, which could pass for a finding.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, " ")
}
