// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// unsupported returns what shows that a newer manager wrote a memory; empty if nothing does. Acting on such a memory could do
// harm: what this manager does not know about it may be what keeps traffic where it is.
func unsupported(memory *v1alpha1.Memory) string {
	if memory == nil {
		return ""
	}
	if memory.Version > v1alpha1.MemoryVersion {
		return fmt.Sprintf("its memory has version %d, but this manager supports versions up to %d", memory.Version, v1alpha1.MemoryVersion)
	}
	switch memory.Phase {
	case "", v1alpha1.PhaseIdle, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseRollingBack:
	default:
		return fmt.Sprintf("this manager does not know the phase %q", memory.Phase)
	}
	if memory.Command == nil {
		return ""
	}
	switch memory.Command.Command {
	case v1alpha1.CommandPromote, v1alpha1.CommandPromoteFull, v1alpha1.CommandAbort, v1alpha1.CommandRetry:
		return ""
	default:
		return fmt.Sprintf("this manager does not know the command %q", memory.Command.Command)
	}
}

// leave returns a plan that changes nothing and reports that a newer manager wrote the memory. The memory stays, and so does
// the finalizer: traffic cannot be handed back without the memory.
func leave(in Input, why string) Plan {
	const reason = v1alpha1.ReasonUnsupportedMemoryVersion
	text := "a newer version of the operator wrote this status: " + why + ". The rollout is not reconciled: run that version or a newer one"
	var plan Plan
	if stalled := meta.FindStatusCondition(in.Prior.Conditions, v1alpha1.ConditionStalled); stalled == nil || stalled.Reason != reason {
		plan.Events = []Event{{Warning: true, Reason: reason, Message: text}}
	}
	plan.Status = overridden(in.Prior, in.Prior, in.Generation, Problem{Reason: reason, Message: text}, in.Now)
	return plan
}

// upgrade updates a memory that was written before memories had versions.
func upgrade(memory *v1alpha1.Memory, spec *v1alpha1.CanaryRolloutSpec, stepsHash string) {
	if memory.Version == 0 && memory.StepsHash == formerStepsHash(spec.Steps) {
		memory.StepsHash = stepsHash
	}
}

// formerStepsHash returns the hash of the steps as memories without a version have it. It was a hash of Go types, so an update
// of a library could change it, and restart the steps.
func formerStepsHash(steps []v1alpha1.Step) string {
	hash := fnv.New64a()
	// Encoding a struct of strings and numbers cannot fail, nor can writing to a hash.
	encoded, _ := json.Marshal(steps)
	_, _ = hash.Write(encoded)
	return strconv.FormatUint(hash.Sum64(), 36)
}
