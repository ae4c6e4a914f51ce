// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// begin makes the first memory. Revisions may already be running: after an adoption, a restore, or the loss of the status.
func begin(w *writes, t *transition) {
	w.addFinalizer()
	if t.target() == "" {
		return
	}
	candidates := t.candidates()
	var stable candidate
	if len(candidates) > 0 {
		stable = slices.MaxFunc(candidates, candidate.compare)
	}
	if known := t.stableKnown(stable, candidates); known.shut {
		t.await(known)
		return
	}
	w.setReplicas()
	for _, orphan := range w.in.Observed.Orphans {
		w.act(AdoptReplicaSet{Reason: Reason("it has no owner and matches the selector"), Name: orphan.Name})
	}
	t.rememberTemplate()
	t.strategy.begin(t, stable.revision)
	if stable.revision != "" {
		t.adopt(stable.revision)
		return
	}
	t.mem.CurrentRevision = t.target()
	t.setPhase(v1alpha1.PhasePromoting)
	t.began(t.target())
	t.event(EventStarted, "first deploy of revision %s (%s)", t.target(), t.in.Observed.Template.Images)
}

// runningSize is the default of spec.replicas: the serving revision keeps its size, and a first deploy gets one pod. While
// there is no memory, everything that runs is taken to serve.
func (v view) runningSize() int32 {
	if v.in.Prior.Memory != nil {
		if rs := v.replicaSet(cmp.Or(v.mem.StableRevision, v.mem.CurrentRevision)); rs.Name != "" {
			return rs.Desired
		}
		return 1
	}
	var size int32
	for _, rs := range v.in.Observed.ReplicaSets {
		size += rs.Desired
	}
	for _, orphan := range v.in.Observed.Orphans {
		size += orphan.Desired
	}
	return max(size, 1)
}

// candidate is a revision that could become stable.
type candidate struct {
	revision string
	marks    Marks
	// named is set if the stable Service selects it, equal if it has the template of the spec, runs if it has pods.
	named, equal, runs bool
	ready              int32
}

// candidates returns the revisions that run. If all of these were aborted, or there are none, it also returns revisions that
// were stable before.
func (v view) candidates() []candidate {
	var all []candidate
	add := func(c candidate) {
		c.named = c.revision != "" && c.revision == v.in.Observed.Stable.Revision && c.marks.AbortReason == ""
		all = append(all, c)
	}
	for _, rs := range v.in.Observed.ReplicaSets {
		add(candidate{revision: rs.Revision, marks: rs.Marks, equal: rs.Revision == v.target(), runs: rs.Desired > 0, ready: rs.Ready})
	}
	for _, orphan := range v.in.Observed.Orphans {
		add(candidate{revision: orphan.Revision, marks: orphan.Marks, equal: orphan.Equal, runs: orphan.Desired > 0 || orphan.Ready > 0, ready: orphan.Ready})
	}
	isRunning := slices.ContainsFunc(all, func(c candidate) bool { return c.runs && c.marks.AbortReason == "" })
	return slices.DeleteFunc(all, func(c candidate) bool { return !c.runs && (isRunning || !c.wasStable()) })
}

// wasStable reports whether a revision was stable when the status was lost.
func (c candidate) wasStable() bool {
	return c.named || c.marks.Promotion > 0 && c.marks.AbortReason == ""
}

// compare orders candidates by precedence, the highest last: an aborted revision, any other one, the revision of
// spec.template, one that was promoted, the one that the stable Service selects. Between equals, the last promotion and then
// the number of ready pods decide.
func (c candidate) compare(other candidate) int {
	rank := func(c candidate) int {
		switch {
		case c.marks.AbortReason != "":
			return 0
		case c.named:
			return 4
		case c.wasStable():
			return 3
		case c.equal:
			return 2
		default:
			return 1
		}
	}
	return cmp.Or(cmp.Compare(rank(c), rank(other)), cmp.Compare(c.marks.Promotion, other.marks.Promotion),
		cmp.Compare(c.ready, other.ready), cmp.Compare(c.revision, other.revision))
}

// stableKnown is shut while the stable revision cannot be known yet, or while it cannot serve and another revision can: a
// restore recreates one object after the other. Nothing is written then, since a revision that was never verified could get
// all the traffic.
func (v view) stableKnown(stable candidate, all []candidate) gate {
	service := v.in.Observed.Stable
	other := slices.IndexFunc(all, func(c candidate) bool { return c.revision != stable.revision && c.ready > 0 })
	switch {
	case !service.Found && len(all) > 1 && !stable.wasStable():
		return waitFor("%d revisions are running, and Service %s, which tells which one is stable, does not exist", len(all), service.Name)
	case service.Problem == nil && service.Revision != "" && !v.isKnown(service.Revision):
		return stalledBy(v1alpha1.ReasonStableUnavailable, "Service %s selects revision %s, which has no ReplicaSet: restore it, or remove "+
			"%s from the selector of the Service to continue without it", service.Name, service.Revision, v1alpha1.RevisionLabel)
	case stable.wasStable() && stable.ready == 0 && other >= 0:
		return stalledBy(v1alpha1.ReasonStableUnavailable, "stable revision %s has no ready pod, but revision %s has: nothing is "+
			"changed until the stable one has one, too; to make another revision stable, delete the ReplicaSet of %s and remove the revision from the selector of Service %s",
			stable.revision, all[other].revision, stable.revision, service.Name)
	case stable.marks.AbortReason != "":
		return stalledBy(v1alpha1.ReasonStableUnavailable, "revision %s is the only one running, and it was aborted (%s): restore the ReplicaSet of the stable "+
			"revision; to make %s stable, delete the annotation %s of its ReplicaSet",
			stable.revision, excerpt(stable.marks.AbortReason), stable.revision, v1alpha1.AbortedAnnotation)
	default:
		return gate{}
	}
}

// isKnown reports whether a revision has a ReplicaSet.
func (v view) isKnown(revision string) bool {
	return v.replicaSet(revision).Name != "" ||
		slices.ContainsFunc(v.in.Observed.Orphans, func(orphan Orphan) bool { return orphan.Revision == revision })
}

func (t *transition) adopt(revision string) {
	t.mem.StableRevision = revision
	t.finish()
	more := ""
	if running := t.runningSize(); running != t.spec.replicas {
		more = fmt.Sprintf("; spec.replicas scales it from %d to %s", running, Quantity(t.spec.replicas, "pod"))
	}
	if reason := t.priorAbortReason(t.target()); reason != "" && t.target() != revision {
		t.mem.AbortedRevision, t.mem.AbortReason = t.target(), reason
		more += fmt.Sprintf("; revision %s was aborted before (%s)", t.target(), reason)
	}
	t.event(EventAdopted, "revision %s is already running: adopted as stable, no pod restarts%s", revision, more)
}

// priorAbortReason returns why a revision was aborted before the status was lost; empty if it was not.
func (v view) priorAbortReason(revision string) string {
	for _, orphan := range v.in.Observed.Orphans {
		if orphan.Revision == revision {
			return orphan.Marks.AbortReason
		}
	}
	return v.replicaSet(revision).Marks.AbortReason
}

// markReplicaSets records on the ReplicaSets which revision is stable and which one was aborted. A backup keeps their
// annotations, but not the status of the rollout.
func (w *writes) markReplicaSets() {
	for _, rs := range w.in.Observed.ReplicaSets {
		marks := rs.Marks
		switch rs.Revision {
		case "":
		case w.mem.StableRevision:
			marks = Marks{Promotion: w.promotion(rs)}
		case w.mem.AbortedRevision:
			marks.AbortReason = cmp.Or(w.mem.AbortReason, "no reason was given")
		case w.mem.CurrentRevision:
			marks.AbortReason = ""
		}
		if marks != rs.Marks {
			w.act(MarkReplicaSet{Reason: "the stable and the aborted revision must be known if the status is lost", Name: rs.Name, Marks: marks})
		}
	}
}

// promotion returns the mark of the stable ReplicaSet. It is higher than that of any other ReplicaSet.
func (w *writes) promotion(stable ReplicaSet) int64 {
	highest := int64(0)
	for _, rs := range w.in.Observed.ReplicaSets {
		if rs.Revision != stable.Revision {
			highest = max(highest, rs.Marks.Promotion)
		}
	}
	return max(stable.Marks.Promotion, highest+1)
}
