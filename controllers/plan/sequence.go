// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// A pass makes every move that follows from what it has observed. It makes one after the other, each from the memory that the
// previous one left, as separate passes would if nothing happened between them. So what holds for each move holds for all of them,
// and their status is written once. A move that sets a target for an object ends the sequence: an action needs a memory that is
// written.

// sequence returns the plans of the single moves that follow from one observation. Only the first one can have actions.
//
// It ends: it continues only after a move that brought the rollout further, by the order of positions, and no position has
// infinitely many after it.
func sequence(in Input, strategy strategy) (moves []Plan) {
	stored := in.Prior.Conditions
	defer func() { keepTransitionTimes(moves[len(moves)-1].Status.Conditions, stored) }()
	moves = []Plan{compute(in, strategy)}
	for isFurther := true; ; {
		last := &moves[len(moves)-1]
		if isSameMemory(in.Prior.Memory, last.Status.Memory) {
			return moves
		}
		following, isObserved := in.after(last)
		if !isObserved || !isFurther {
			last.Unfinished = true
			return moves
		}
		next := compute(following, strategy)
		if len(next.Actions) > 0 {
			last.foresee(&next)
			last.Unfinished = len(moves[0].Actions) > 0
			return moves
		}
		isFurther = comparePositions(in.Prior.Memory, last.Status.Memory) < 0
		moves, in = append(moves, next), following
	}
}

// isSameMemory reports whether two memories are stored as the same. Encoding both takes a fifth of the time of a comparison by
// reflection, and each pass has one.
func isSameMemory(a, b *v1alpha1.Memory) bool {
	encodedA, errA := json.Marshal(a)
	encodedB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(encodedA, encodedB)
}

// joined makes one plan of a sequence.
func joined(moves []Plan) Plan {
	all := moves[len(moves)-1]
	if len(moves) == 1 {
		return all
	}
	all.Actions, all.Events = moves[0].Actions, nil
	for i := range moves {
		all.Events = append(all.Events, moves[i].Events...)
	}
	return all
}

// after returns the input of the move after a plan: the same observation, with the memory that the plan leaves. There is none if
// the actions of the plan change what is observed, or if its memory has to be compared with other objects. Nor is there while a
// command is given: it is for the step that its user has seen, and not for one that begins in this pass.
func (in Input) after(plan *Plan) (following Input, isObserved bool) {
	for _, action := range plan.Actions {
		removal, isRemoval := action.(RemoveAnnotations)
		if !isRemoval {
			return in, false
		}
		in.Commands = in.Commands.without(removal.Keys)
	}
	isObserved = in.Commands == Commands{} && SameObjects(in.Prior.Memory, plan.Status.Memory) && !in.endsAnalysis(plan)
	in.Prior = plan.Status
	return in, isObserved
}

// endsAnalysis reports whether a plan ends an analysis step. Its status is the only one with the verdicts of that step.
func (in Input) endsAnalysis(plan *Plan) bool {
	before, after := ptr.Deref(in.Prior.Memory, v1alpha1.Memory{}), ptr.Deref(plan.Status.Memory, v1alpha1.Memory{})
	index := int(before.StepIndex)
	if before.Phase != v1alpha1.PhaseStepping || index < 0 || index >= len(in.Spec.Steps) {
		return false
	}
	isOver := after.Phase != before.Phase || after.StepIndex != before.StepIndex
	return isOver && in.Spec.Steps[index].Analysis != nil
}

// without returns the commands without those of some annotations.
func (c Commands) without(annotations []string) Commands {
	for _, annotation := range annotations {
		switch annotation {
		case v1alpha1.PromoteAnnotation:
			c.Promote = nil
		case v1alpha1.AbortAnnotation:
			c.Abort = nil
		case v1alpha1.RetryAnnotation:
			c.Retry = nil
		}
	}
	return c
}

// keepTransitionTimes keeps the transition times of the stored conditions that have the same status. In between they may have had
// another one, which nobody has seen.
func keepTransitionTimes(conditions, stored []metav1.Condition) {
	for i := range conditions {
		if prior := meta.FindStatusCondition(stored, conditions[i].Type); prior != nil && prior.Status == conditions[i].Status {
			conditions[i].LastTransitionTime = prior.LastTransitionTime
		}
	}
}

// foresee takes over what the next plan, which acts on the targets of this one, will report: that report would replace this one
// at once.
func (p *Plan) foresee(next *Plan) {
	if len(next.Events) == 0 && isSameMemory(p.Status.Memory, next.Status.Memory) {
		p.Status = next.Status
	}
}

// SameObjects reports whether an observation that was made for one memory also shows what another one asks for: the same routes
// and Services, and header rules that were compared with the same header routes. If the other one has no header routes, it does
// not matter what they were compared with.
func SameObjects(memory, other *v1alpha1.Memory) bool {
	before, after := ptr.Deref(memory, v1alpha1.Memory{}), ptr.Deref(other, v1alpha1.Memory{})
	return before.StableService.Name == after.StableService.Name && before.CanaryService.Name == after.CanaryService.Name &&
		slices.Equal(before.LeavingServices, after.LeavingServices) && equality.Semantic.DeepEqual(before.Routes, after.Routes) &&
		(len(after.StepTargets.HeaderRoutes) == 0 || equality.Semantic.DeepEqual(before.StepTargets.HeaderRoutes, after.StepTargets.HeaderRoutes))
}

// comparePositions compares how far a rollout has come in two memories: a rollback, rest, the steps, a promotion, each by its
// own stages.
func comparePositions(a, b *v1alpha1.Memory) int {
	x, y := positionOf(a), positionOf(b)
	return slices.Compare(x[:], y[:])
}

func positionOf(memory *v1alpha1.Memory) [3]int {
	if memory == nil {
		return [3]int{}
	}
	switch v := (view{mem: memory}); memory.Phase {
	case v1alpha1.PhaseRollingBack:
		return [3]int{1, slices.Index(rollbackStages, StageOf(memory))}
	case v1alpha1.PhaseStepping:
		ready := 0
		if memory.CanaryService.Revision == memory.CurrentRevision {
			ready++
		}
		if v.followsSteps() {
			ready++
		}
		return [3]int{3, int(memory.StepIndex), ready}
	case v1alpha1.PhasePromoting:
		return [3]int{4, slices.Index(promotionStages, StageOf(memory))}
	default:
		return [3]int{2}
	}
}
