// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// keepDeadline counts the time since the last real progress, but only while the rollout waits for pods or for a route:
// never at rest, in a pause in which the canary serves, or when there is nothing that could come by itself.
func (p *pass) keepDeadline() {
	p.keepLoss()
	isLost := p.mem.Progress.EndpointsLostAt != nil
	if p.paused != "" && !isLost || p.spec.replicas == 0 || p.isHealthy() || p.isWell() && p.drains() || p.mem.Phase == v1alpha1.PhaseIdle && p.isAborted() {
		p.mem.Progress = v1alpha1.ProgressMemory{}
		return
	}
	progress := &p.mem.Progress
	available := p.available(p.mem.StableRevision) + p.available(p.mem.CurrentRevision)
	switch {
	case isLost:
		progress.At = progress.EndpointsLostAt
	case progress.At == nil || p.progressed() || available > progress.Available:
		*progress = v1alpha1.ProgressMemory{At: p.now(), Available: available}
	}
	if p.deadlinePassed() && p.in.Spec.ProgressDeadlineAbort && p.mem.Command == nil && p.mayAbort() {
		p.abort(p.lateness())
		*progress = v1alpha1.ProgressMemory{At: p.now(), Available: available}
	}
}

// drains says that a revision is on its way out and goes at a moment that is known.
func (p *pass) drains() bool {
	return slices.ContainsFunc(p.mem.Draining, func(drain v1alpha1.DrainMemory) bool { return drain.Since != nil })
}

// keepLoss forgets a loss of all endpoints once the next ones have stayed for half of the deadline. A canary that crashes
// again and again does not get there: its flights and returns are no progress, and the deadline counts from the first.
func (p *pass) keepLoss() {
	progress, readyAt := &p.mem.Progress, p.mem.CanaryService.ReadyAt
	switch {
	case progress.EndpointsLostAt == nil:
	case !p.isGoingForward(), readyAt != nil && p.reached(readyAt.Add(p.spec.deadline/2)):
		*progress = v1alpha1.ProgressMemory{}
	}
}

// lateness says why the deadline has passed.
func (p *pass) lateness() string {
	if lost := p.mem.Progress.EndpointsLostAt; lost != nil {
		return fmt.Sprintf("revision %s lost its last ready endpoint at %s and has not kept one for %s since",
			p.mem.CurrentRevision, clock(lost.Time), p.spec.deadline/2)
	}
	return "no progress within " + p.spec.deadline.String()
}

func (p *pass) mayAbort() bool {
	return p.mem.StableRevision != "" && p.mem.AbortedRevision == "" && p.isGoingForward()
}

// progressed compares the parts of memory that only change when the rollout gets on.
func (p *pass) progressed() bool {
	before, after := p.prior, p.mem
	return before.Phase != after.Phase || before.StepIndex != after.StepIndex || before.StepsHash != after.StepsHash ||
		before.Template.Revision != after.Template.Revision ||
		before.Traffic.Weight != after.Traffic.Weight || before.Traffic.HeaderRoutesActive != after.Traffic.HeaderRoutesActive ||
		before.Traffic.MirrorPercent != after.Traffic.MirrorPercent ||
		before.Traffic.VerifiedWeight != after.Traffic.VerifiedWeight || // not each proof: a gateway may take it back for ever
		serviceProgressed(before.StableService, after.StableService) ||
		serviceProgressed(before.CanaryService, after.CanaryService) && !p.isAheadOfPods()
}

// serviceProgressed says that a Service has got another target, or its endpoints.
func serviceProgressed(before, after v1alpha1.ServiceMemory) bool {
	return before.Name != after.Name || before.Revision != after.Revision || !before.ReadyAt.Equal(after.ReadyAt)
}

// isAheadOfPods says that the canary Service has moved to pods of which none is ready: they have not got on by that.
func (p *pass) isAheadOfPods() bool {
	before, after := p.prior.CanaryService, p.mem.CanaryService
	return before.Revision != after.Revision && after.Revision == p.mem.CurrentRevision && p.replicaSet(after.Revision).Ready == 0
}

func (p *pass) deadlinePassed() bool {
	at := p.mem.Progress.At
	return at != nil && p.reached(at.Add(p.spec.deadline))
}
