// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// keepDeadline counts the time since the last real progress, but only while the rollout waits for pods or for a
// route: never in a pause, at rest, or when there is nothing that could come by itself.
func (p *pass) keepDeadline() {
	if p.paused != "" || p.spec.replicas == 0 || p.isHealthy() || p.mem.Phase == v1alpha1.PhaseResting && p.isAborted() {
		p.mem.Progress = v1alpha1.ProgressMemory{}
		return
	}
	progress := &p.mem.Progress
	available := p.available(p.mem.StableRevision) + p.available(p.mem.CurrentRevision)
	if progress.At == nil || p.progressed() || available > progress.Available {
		*progress = v1alpha1.ProgressMemory{At: p.now(), Available: available}
	}
	if p.deadlinePassed() && p.in.Spec.ProgressDeadlineAbort && p.mem.Command == nil && p.mayAbort() {
		p.abort("no progress within " + p.spec.deadline.String())
	}
}

func (p *pass) mayAbort() bool {
	return p.mem.StableRevision != "" && p.mem.AbortedRevision == "" && p.isGoingForward()
}

// progressed compares the parts of memory that only change when the rollout gets on.
func (p *pass) progressed() bool {
	before, after := p.prior, p.mem
	return before.Phase != after.Phase || before.StepIndex != after.StepIndex || before.StepsHash != after.StepsHash ||
		before.Template.Revision != after.Template.Revision ||
		before.Traffic.Weight != after.Traffic.Weight || before.Traffic.HeaderRoutes != after.Traffic.HeaderRoutes ||
		before.Traffic.MirrorPercent != after.Traffic.MirrorPercent ||
		before.Traffic.VerifiedWeight != after.Traffic.VerifiedWeight || // not each proof: a gateway may take it back for ever
		!equality.Semantic.DeepEqual(before.StableService, after.StableService) ||
		!equality.Semantic.DeepEqual(before.CanaryService, after.CanaryService)
}

func (p *pass) deadlinePassed() bool {
	at := p.mem.Progress.At
	return at != nil && p.reached(at.Add(p.spec.deadline))
}
