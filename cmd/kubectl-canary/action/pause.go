// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// Pause holds the rollout by spec.paused.
func Pause(r *Rollout, flags string) (Change, error) {
	if r.Spec.Paused {
		return Change{}, fmt.Errorf("%s is already held by spec.paused; to resume it: kubectl canary resume %s%s", r.Name, r.Name, flags)
	}
	next := fmt.Sprintf("revision %s stays where it is until: kubectl canary resume %s%s", r.Status.Revision, r.Name, flags)
	if memory := r.Status.Memory; memory == nil || memory.CurrentRevision == memory.StableRevision {
		next = fmt.Sprintf("no release is in flight, and a new template starts no release until: kubectl canary resume %s%s", r.Name, flags)
	}
	return Change{
		Rollout: r, Patch: []jsonpatch.Operation{guard(r, "spec", "paused"), jsonpatch.Add("/spec/paused", true)},
		Message: fmt.Sprintf("paused %s; %s", r.Name, next),
		Next:    "it stays where it is until it is resumed. Abort, and restoring overwritten objects, still work",
	}, nil
}

// Resume removes spec.paused.
func Resume(r *Rollout, flags string) (Change, error) {
	if !r.Spec.Paused {
		return Change{}, fmt.Errorf("%s is not held by spec.paused%s", r.Name, elsewhere(r, flags))
	}
	return Change{
		Rollout: r, Patch: []jsonpatch.Operation{guard(r, "spec", "paused"), jsonpatch.Remove("/spec/paused")},
		Message: fmt.Sprintf("resumed %s; it continues where it was. %s", r.Name, follow(r, flags)),
		Next:    "it continues where it was",
	}, nil
}

// elsewhere names the command that ends a pause step, which may be what the user meant.
func elsewhere(r *Rollout, flags string) string {
	if r.Status.Pause == nil {
		return ""
	}
	return fmt.Sprintf(", but at the pause of step %s, which is left by: kubectl canary promote %s%s", r.Status.Step, r.Name, flags)
}
