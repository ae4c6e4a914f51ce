// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const historyLength = 10

// began opens an entry in the history.
func (t *transition) began(revision string) {
	entry := v1alpha1.HistoryEntry{
		Revision: revision, Images: t.images(revision), Outcome: v1alpha1.OutcomeInProgress,
		StartedAt: seconds(t.in.Now), StartedBy: cmp.Or(t.startedBy, userName(t.in.Users.AppliedBy)),
	}
	t.mem.PromotedBy = ""
	t.history = append([]v1alpha1.HistoryEntry{entry}, t.history...)
	if len(t.history) > historyLength {
		t.history = t.history[:historyLength]
	}
}

// ended closes the entry of a release. A release that was aborted before it began gets its entry now.
func (t *transition) ended(revision string, outcome v1alpha1.Outcome, message, user string) {
	if len(t.history) == 0 || t.history[0].Revision != revision || t.history[0].Outcome != v1alpha1.OutcomeInProgress {
		t.began(revision)
	}
	entry := &t.history[0]
	entry.Outcome, entry.Message, entry.EndedAt, entry.EndedBy = outcome, message, seconds(t.in.Now), user
}

// userName returns the name of a user as a status shows it: bounded, and without what a terminal would act on.
func userName(annotation string) string {
	return truncateJSON(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, annotation), maxUser)
}
