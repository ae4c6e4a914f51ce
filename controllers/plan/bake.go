// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// A bake is the last stage of a promotion. The new revision serves all traffic, but the promotion is not committed: the former
// revision is still the stable one in memory, and keeps its pods. So a failure, an abort or a revert in that time is an ordinary
// rollback (T9).

// isBaking reports whether the new revision serves all traffic and the promotion is not committed.
func (v view) isBaking() bool {
	return v.mem.Phase == v1alpha1.PhasePromoting && v.mem.Bake.Since != nil && promotionStage(v.mem) == StagePromoteEnd
}

// isLastOfBake reports whether another template ends a bake. The next release starts from the revision that serves. The stable
// template rolls back instead.
func (v view) isLastOfBake() bool {
	target := v.target()
	return v.isBaking() && target != "" && target != v.mem.CurrentRevision && target != v.mem.StableRevision
}

// keepBake forgets a bake when it is over: the promotion was committed or is rolled back, or the former revision serves again,
// because the new one died. The bake starts again with the next promotion.
func (t *transition) keepBake() {
	if !t.isBaking() {
		t.mem.Bake = v1alpha1.BakeMemory{}
	}
}

// bake is open when the promotion may be committed. A first deploy has no revision to return to.
func (t *transition) bake() gate {
	bake := t.in.Spec.Bake
	if bake == nil || t.mem.StableRevision == "" || t.spec.replicas == 0 || t.mem.ForcedRevision == t.mem.CurrentRevision {
		return gate{}
	}
	if t.mem.Bake.Since == nil {
		t.mem.Bake.Since = t.now()
		t.mem.Analysis.Bake = nil
		t.event(EventBaking, "revision %s serves all traffic; revision %s keeps its pods for %s: an abort rolls back to it",
			t.mem.CurrentRevision, t.mem.StableRevision, Duration(bake.Duration.Duration))
	}
	left := t.until(t.mem.Bake.Since.Add(bake.Duration.Duration))
	if t.mem.Bake.Ended || t.isLastOfBake() || !left.shut {
		return gate{}
	}
	left.isTimed = true
	left.message = "revision " + t.mem.CurrentRevision + " serves all traffic and bakes until " + clock(left.opensAt) +
		"; to end the bake now: " + t.annotate(v1alpha1.PromoteAnnotation+"=true") +
		"; to roll back: " + t.annotate(v1alpha1.AbortAnnotation+"=true")
	return left
}
