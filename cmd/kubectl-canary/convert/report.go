// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says how much of a field is lost.
type Severity string

const (
	// Error means that an object, or a metric of it, is not converted.
	Error Severity = "Error"
	// Loss means that the result does not do what the field asked for, or that the user has to do something.
	Loss Severity = "Loss"
	// Note means that nothing is lost: the field is not needed, or the same is reached in another way.
	Note Severity = "Note"
)

// Entry is a line of the report.
type Entry struct {
	Severity Severity `json:"severity"`
	// File and Document are the location. Documents of a file count from 1.
	File     string `json:"file"`
	Document int    `json:"document"`
	// Object is the kind and name of the object.
	Object string `json:"object,omitempty"`
	// Path is the field of the object. The entry covers everything below it. Empty is the whole object.
	Path string `json:"path,omitempty"`
	// Message says what is lost or what is different.
	Message string `json:"message"`
	// Instead says what to do, empty if there is nothing to do.
	Instead string `json:"instead,omitempty"`

	// position orders the entries by the objects of the input.
	position int
}

// String formats the entry as one line, in the style of a compiler.
func (e Entry) String() string {
	parts := []string{fmt.Sprintf("%s:%d", e.File, e.Document)}
	if e.Path != "" {
		parts = append(parts, e.Path)
	}
	message := e.Message
	if e.Instead != "" {
		message += "; " + e.Instead
	}
	// Text of a manifest must not begin a line of its own, and look like an entry.
	return strings.Join(strings.Fields(strings.Join(append(parts, strings.ToLower(string(e.Severity)), message), ": ")), " ")
}

// ExitCode is 0 if everything was converted, 1 if something is lost, and 2 if something was not converted.
func ExitCode(report []Entry) int {
	code := 0
	for _, entry := range report {
		switch entry.Severity {
		case Error:
			return 2
		case Loss:
			code = 1
		case Note:
		}
	}
	return code
}

// report collects entries.
type report struct{ entries []Entry }

// add adds an entry, unless the same was added before: two rollouts may use one Service.
func (r *report) add(entry Entry) {
	if !slices.Contains(r.entries, entry) {
		r.entries = append(r.entries, entry)
	}
}

// sorted returns the entries in the order of the objects.
func (r *report) sorted() []Entry {
	slices.SortStableFunc(r.entries, func(a, b Entry) int { return a.position - b.position })
	return r.entries
}
