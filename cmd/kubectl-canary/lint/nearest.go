// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// metadataFields are the fields that a manifest may set. The schema leaves metadata to the API server.
var metadataFields = []string{"annotations", "finalizers", "generateName", "labels", "name", "namespace", "ownerReferences"}

var listIndex = regexp.MustCompile(`\[[0-9]+\]`)

// unknownField returns the API server's message for an unknown field, and suggests the field that was probably meant.
func unknownField(path string, fieldsAt func(path []string) []string) string {
	message := fmt.Sprintf("unknown field %q", path)
	fields := strings.Split(listIndex.ReplaceAllString(path, ".[]"), ".")
	last := fields[len(fields)-1]
	known := fieldsAt(fields[:len(fields)-1])
	if nearest := nearest(last, known); nearest != "" {
		return fmt.Sprintf("%s: did you mean %s?", message, nearest)
	}
	if len(known) > 0 && len(known) <= 12 {
		return fmt.Sprintf("%s: known are %s", message, strings.Join(known, ", "))
	}
	return message
}

// fieldsAt returns the known fields below a path.
func (s *schema) fieldsAt(path []string) []string {
	if len(path) > 0 && path[0] == "metadata" {
		return metadataFields
	}
	node := s.structural
	for _, field := range path {
		if node = below(node, field); node == nil {
			return nil
		}
	}
	return slices.Sorted(maps.Keys(node.Properties))
}

func below(node *structuralschema.Structural, field string) *structuralschema.Structural {
	if field == "[]" {
		return node.Items
	}
	if property, found := node.Properties[field]; found {
		return &property
	}
	if node.AdditionalProperties != nil {
		return node.AdditionalProperties.Structural
	}
	return nil
}

// nearest returns the known field with the smallest edit distance, if it is close enough for a typo.
func nearest(field string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	changes := func(name string) int { return distance(strings.ToLower(field), strings.ToLower(name)) }
	best := slices.MinFunc(known, func(a, b string) int { return cmp.Compare(changes(a), changes(b)) })
	if changes(best) > max(1, len(field)/3) {
		return ""
	}
	return best
}

// distance counts insertions, deletions and replacements of letters (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
