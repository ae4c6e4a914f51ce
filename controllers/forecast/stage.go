// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"fmt"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Name is the kind of a stage.
type Name string

// The stages of a release. NameStep is one of its steps; the others are parts of a promotion or of a rollback.
const (
	NameStep       Name = "Step"
	NamePods       Name = "Pods"
	NameServe      Name = "Serve"
	NameFullWeight Name = "FullWeight"
	NameMoveStable Name = "MoveStable"
	NameZeroWeight Name = "ZeroWeight"
	NameCommit     Name = "Commit"
	NameDrain      Name = "Drain"

	NameReturnFullWeight Name = "ReturnFullWeight"
	NameReturnStable     Name = "ReturnStable"
	NameReturnTraffic    Name = "ReturnTraffic"
	NameReturnCanary     Name = "ReturnCanary"
	NameReturned         Name = "Returned"
)

// words describes the stages outside the steps, in at most 28 letters, to fit into a column.
var words = map[Name]string{
	NamePods:       "all pods of the new revision",
	NameServe:      "traffic to the pods",
	NameFullWeight: "weight 100, until settled",
	NameMoveStable: "stable Service to new pods",
	NameZeroWeight: "traffic to stable Service",
	NameCommit:     "the new revision is stable",
	NameDrain:      "the former pods go",

	NameReturnFullWeight: "canary takes all traffic",
	NameReturnStable:     "stable Service to old pods",
	NameReturnTraffic:    "traffic to stable Service",
	NameReturnCanary:     "canary Service to old pods",
	NameReturned:         "stable serves alone",
}

// position is the stage that a memory is in. Two positions are equal if they are the same stage.
type position struct {
	name Name
	// step counts from 1; it is 0 outside the steps.
	step int
	// revision distinguishes the steps of two revisions.
	revision string
}

// positionOf derives the position from the memory, just as the planner derives its progress. It returns false between
// two stages, and at rest if nothing was in flight before.
func (w *walk) positionOf(memory *v1alpha1.Memory) (position, bool) {
	if memory == nil {
		return position{}, false
	}
	at := position{revision: memory.CurrentRevision}
	switch memory.Phase {
	case v1alpha1.PhaseStepping:
		at.name, at.step = NameStep, int(memory.StepIndex)+1
		return at, at.step <= len(w.spec.Steps)
	case v1alpha1.PhasePromoting:
		at.name = promotionOf(memory)
	case v1alpha1.PhaseRollingBack:
		at.name = returnOf(memory)
	default:
		at.name = w.restOf(memory)
	}
	return at, at.name != ""
}

// promotionOf returns the current stage of a promotion (T8).
func promotionOf(memory *v1alpha1.Memory) Name {
	hasMoved := memory.StableService.Revision == memory.CurrentRevision
	switch {
	case hasMoved && memory.StableRevision == "":
		return NameServe
	case !hasMoved && (memory.Traffic.Weight < 100 || memory.StableRevision == ""):
		return NamePods
	case !hasMoved:
		return NameFullWeight
	case memory.Traffic.Weight > 0:
		return NameMoveStable
	default:
		return NameZeroWeight
	}
}

// returnOf returns the current stage of a rollback (T9).
func returnOf(memory *v1alpha1.Memory) Name {
	switch {
	case memory.StableService.Revision != memory.StableRevision:
		return NameReturnFullWeight
	case memory.Traffic.Weight == 100:
		return NameReturnStable
	case plan.ReachesCanary(memory.Traffic) || memory.CanaryService.Revision != memory.StableRevision:
		return NameReturnTraffic
	default:
		return NameReturnCanary
	}
}

// restOf returns the stage that follows a promotion or a rollback.
func (w *walk) restOf(memory *v1alpha1.Memory) Name {
	switch last := w.position.name; {
	case last == "" || last == NameDrain:
		return last
	case len(memory.Draining) > 0:
		return NameDrain
	case last == NameServe || last == NameZeroWeight:
		return NameCommit
	case last == NameCommit || last == NameReturned:
		return last
	default:
		return NameReturned
	}
}

func (w *walk) what(at position) string {
	if at.name == NameStep {
		return describe(w.spec.Steps[at.step-1])
	}
	return words[at.name]
}

// describe summarizes a step in a few words.
func describe(step v1alpha1.Step) string {
	switch {
	case step.SetWeight != nil:
		return fmt.Sprintf("setWeight %d", *step.SetWeight)
	case step.SetHeaderRoute != nil && len(step.SetHeaderRoute.Matches) == 0:
		return "setHeaderRoute " + step.SetHeaderRoute.Name + " out"
	case step.SetHeaderRoute != nil:
		return "setHeaderRoute " + step.SetHeaderRoute.Name
	case step.SetMirrorRoute != nil:
		return fmt.Sprintf("setMirrorRoute %d", ptr.Deref(step.SetMirrorRoute.Percent, 0))
	case step.SetCanaryScale != nil:
		return "setCanaryScale " + describeScale(step.SetCanaryScale)
	case step.Pause != nil:
		return "pause" + describePause(step.Pause)
	default:
		return "nothing"
	}
}

func describeScale(scale *v1alpha1.SetCanaryScale) string {
	text := "as the weight"
	switch {
	case scale.Replicas != nil && *scale.Replicas == 1:
		text = "1 pod"
	case scale.Replicas != nil:
		text = fmt.Sprintf("%d pods", *scale.Replicas)
	case scale.Weight != nil:
		text = fmt.Sprintf("%d %%", ptr.Deref(scale.Weight, 0))
	}
	if scale.Mode == v1alpha1.ScaleModeExact {
		text += ", exactly"
	}
	return text
}

func describePause(pause *v1alpha1.Pause) string {
	switch {
	case pause.Duration != nil:
		return " " + Duration(pause.Duration.Duration)
	case pause.Timeout != nil:
		return fmt.Sprintf(", %s after %s", pause.OnTimeout, Duration(pause.Timeout.Duration))
	default:
		return ""
	}
}
