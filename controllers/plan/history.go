// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const historyLength = 10

// began opens an entry in the history.
func (p *pass) began(revision string) {
	entry := v1alpha1.HistoryEntry{
		Revision: revision, Images: p.images(revision), Outcome: v1alpha1.OutcomeInProgress,
		StartedAt: seconds(p.in.Now),
	}
	p.history = append([]v1alpha1.HistoryEntry{entry}, p.history...)
	if len(p.history) > historyLength {
		p.history = p.history[:historyLength]
	}
}

// ended closes the entry of a release; one that was aborted before it began gets its entry now.
func (p *pass) ended(revision string, outcome v1alpha1.Outcome, message string) {
	if len(p.history) == 0 || p.history[0].Revision != revision || p.history[0].Outcome != v1alpha1.OutcomeInProgress {
		p.began(revision)
	}
	entry := &p.history[0]
	entry.Outcome, entry.Message, entry.EndedAt = outcome, message, seconds(p.in.Now)
}

func (p *pass) images(revision string) string {
	if revision == p.target() {
		return p.in.Observed.Template.Images
	}
	return p.replicaSet(revision).Images
}
