// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const historyLength = 10

// began opens an entry in the history.
func (t *transition) began(revision string) {
	entry := v1alpha1.HistoryEntry{
		Revision: revision, Images: t.images(revision), Outcome: v1alpha1.OutcomeInProgress,
		StartedAt: seconds(t.in.Now),
	}
	t.history = append([]v1alpha1.HistoryEntry{entry}, t.history...)
	if len(t.history) > historyLength {
		t.history = t.history[:historyLength]
	}
}

// ended closes the entry of a release. A release that was aborted before it began gets its entry now.
func (t *transition) ended(revision string, outcome v1alpha1.Outcome, message string) {
	if len(t.history) == 0 || t.history[0].Revision != revision || t.history[0].Outcome != v1alpha1.OutcomeInProgress {
		t.began(revision)
	}
	entry := &t.history[0]
	entry.Outcome, entry.Message, entry.EndedAt = outcome, message, seconds(t.in.Now)
}
