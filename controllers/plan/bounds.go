// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The bounds of a status. Users, gateways and admission webhooks write texts of any length. A status keeps a bounded part of
// them, so that no text can make a status that the API server rejects.
const (
	// maxExcerpt is the length to which foreign text is truncated, in runes.
	maxExcerpt = 256
	// maxValue is the length to which the result of a measurement is truncated, in runes.
	maxValue = 64
	// maxMessage is the maximum length of a message, in bytes of its JSON.
	maxMessage = 1024
	// maxUser is the maximum length of the name of a user, in bytes of its JSON: names are short, and a history has many.
	maxUser = 256
	// maxHeaderRoutes is the maximum size of the header routes in force, in bytes of their JSON.
	maxHeaderRoutes = 64 << 10

	ellipsis = "..."
)

// bound truncates the texts of a status.
func bound(status *v1alpha1.CanaryRolloutStatus) {
	status.Message = truncateMessage(status.Message)
	status.Images = truncateMessage(status.Images)
	for i := range status.Conditions {
		status.Conditions[i].Message = truncateMessage(status.Conditions[i].Message)
	}
	if status.Traffic != nil {
		for i := range status.Traffic.Routes {
			status.Traffic.Routes[i].Pending = truncateMessage(status.Traffic.Routes[i].Pending)
		}
	}
	for i := range status.Analysis {
		status.Analysis[i].Message = truncateMessage(status.Analysis[i].Message)
	}
	for i := range status.History {
		entry := &status.History[i]
		entry.Images, entry.Message = excerpt(entry.Images), excerpt(entry.Message)
		entry.StartedBy, entry.EndedBy = truncateJSON(entry.StartedBy, maxUser), truncateJSON(entry.EndedBy, maxUser)
	}
	if status.Memory != nil {
		status.Memory.AbortReason = excerpt(status.Memory.AbortReason)
	}
}

// excerpt truncates a text that somebody else wrote.
func excerpt(text string) string { return truncateRunes(text, maxExcerpt) }

func truncateRunes(text string, limit int) string {
	if len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-len(ellipsis)]) + ellipsis
}

func truncateMessage(text string) string { return truncateJSON(text, maxMessage) }

// truncateJSON truncates a text between two characters, to a length in bytes of its JSON.
func truncateJSON(text string, limit int) string {
	size, end := 0, 0
	for i, r := range text {
		if size <= limit-len(ellipsis) {
			end = i
		}
		if size += encodedSize(r); size > limit {
			return text[:end] + ellipsis
		}
	}
	return text
}

// encodedSize returns the number of bytes that a character takes in JSON.
func encodedSize(r rune) int {
	switch {
	case r < ' ', r == '<', r == '>', r == '&', r == utf8.RuneError, r == '\u2028', r == '\u2029':
		return len(`\u0000`)
	case r == '"', r == '\\':
		return len(`\\`)
	default:
		return utf8.RuneLen(r)
	}
}

// fitsMemory reports whether a status has room for these header routes.
func fitsMemory(routes []v1alpha1.SetHeaderRoute) bool {
	encoded, err := json.Marshal(routes)
	return err == nil && len(encoded) <= maxHeaderRoutes
}
