// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"context"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// Check looks at the result as `kubectl canary lint` does, and returns an error of the report for each error that it finds. The
// files of these entries are those of FileName.
func (r Result) Check(ctx context.Context) ([]Entry, error) {
	var sources []lint.Source
	for _, o := range r.Objects {
		content, err := o.YAML()
		if err != nil {
			return nil, err
		}
		sources = append(sources, lint.Source{Name: o.FileName(), Content: content})
	}
	manifests, found, err := lint.Read(ctx, sources, "")
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, finding := range append(found, manifests.Check()...) {
		if finding.Severity == lint.Error {
			entries = append(entries, Entry{
				Severity: Error, File: finding.File, Document: finding.Document, Object: finding.Object, Path: finding.Path,
				Message: "the result is not valid: " + finding.Message, Instead: "correct the result, or what it was converted from",
			})
		}
	}
	return entries, nil
}
