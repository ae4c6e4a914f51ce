// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The bounds of a status. Users, gateways and admission webhooks write texts of any length; what a status keeps of them
// is bounded, so that no text can make a status that the API server refuses to store.
const (
	// maxQuote is how much is kept of a text that somebody else wrote, in runes.
	maxQuote = 256
	// maxMessage is how long a message may be, in bytes of its JSON.
	maxMessage = 1024
	// maxHeaderRoutes is how much memory the header routes in force may take, in bytes of their JSON.
	maxHeaderRoutes = 64 << 10

	ellipsis = "..."
)

// bound cuts the texts of a status.
func bound(status *v1alpha1.CanaryRolloutStatus) {
	status.Message = message(status.Message)
	status.Images = message(status.Images)
	for i := range status.Conditions {
		status.Conditions[i].Message = message(status.Conditions[i].Message)
	}
	if status.Traffic != nil {
		for i := range status.Traffic.Routes {
			status.Traffic.Routes[i].Pending = message(status.Traffic.Routes[i].Pending)
		}
	}
	for i := range status.History {
		entry := &status.History[i]
		entry.Images, entry.Message = quote(entry.Images), quote(entry.Message)
	}
	if status.Memory != nil {
		status.Memory.AbortReason = quote(status.Memory.AbortReason)
	}
}

// quote cuts a text that somebody else wrote.
func quote(text string) string {
	if len(text) <= maxQuote || utf8.RuneCountInString(text) <= maxQuote {
		return text
	}
	return string([]rune(text)[:maxQuote-len(ellipsis)]) + ellipsis
}

// message cuts a message at the boundary of a character.
func message(text string) string {
	size, end := 0, 0
	for i, r := range text {
		if size <= maxMessage-len(ellipsis) {
			end = i
		}
		if size += encodedSize(r); size > maxMessage {
			return text[:end] + ellipsis
		}
	}
	return text
}

// encodedSize is how many bytes of JSON a character takes.
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

// fitsMemory says that a status has room for these header routes.
func fitsMemory(routes []v1alpha1.SetHeaderRoute) bool {
	encoded, err := json.Marshal(routes)
	return err == nil && len(encoded) <= maxHeaderRoutes
}
