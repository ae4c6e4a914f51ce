// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// guardsOfRelease test that the revisions are unchanged, and that nobody has requested another one since.
func guardsOfRelease(r *Rollout) []jsonpatch.Operation {
	return append(guardMemory(r, "currentRevision", "stableRevision", "abortedRevision"), guard(r, "spec", "template"))
}

// Abort returns all traffic to the stable revision. The reason may be empty.
//
// It returns the change. If the operator has not observed the latest spec, the abort is written unchecked: it may be
// needed while the operator is down.
func Abort(r *Rollout, reason, flags string) (Change, error) {
	value := cmp.Or(reason, "true")
	if r.Status.Memory == nil {
		return Change{}, r.checkObserved()
	}
	if why := r.refused(v1alpha1.AbortAnnotation, value); why != "" && r.IsObserved() {
		return Change{}, r.refusal("aborted", why)
	}
	revision, next := cmp.Or(r.Target(), r.Status.Memory.CurrentRevision), "all traffic returns to revision "+r.Status.Memory.StableRevision
	return Change{
		Rollout: r, Patch: append(guardsOfRelease(r), annotate(r, v1alpha1.AbortAnnotation, value)...),
		Message: fmt.Sprintf("aborted %s (revision %s); next: %s. %s", r.Name, revision, next, follow(r, flags)),
		Next:    next,
	}, nil
}

// Retry starts an aborted revision again at its first step.
func Retry(r *Rollout, flags string) (Change, error) {
	if err := r.checkObserved(); err != nil {
		return Change{}, err
	}
	if why := r.refused(v1alpha1.RetryAnnotation, "true"); why != "" {
		return Change{}, r.refusal("retried", why)
	}
	return Change{
		Rollout: r, Patch: append(guardsOfRelease(r), annotate(r, v1alpha1.RetryAnnotation, "true")...),
		Message: fmt.Sprintf("retrying revision %s of %s; next: %s. %s", r.Status.Memory.AbortedRevision, r.Name, firstStep(r), follow(r, flags)),
		Next:    firstStep(r),
	}, nil
}

// firstStep describes how a release begins.
func firstStep(r *Rollout) string {
	if len(r.Spec.Steps) == 0 {
		return "its pods, then the promotion, because there are no steps"
	}
	return fmt.Sprintf("step 1/%d, %s", len(r.Spec.Steps), view.Step(r.Spec.Steps[0]))
}
