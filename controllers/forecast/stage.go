// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
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
	NameBake       Name = "Bake"
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
	NameBake:       "bake: former pods are kept",
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
	case v1alpha1.PhasePromoting, v1alpha1.PhaseRollingBack:
		at.name = nameOf(memory)
	default:
		at.name = w.restOf(memory)
	}
	return at, at.name != ""
}

// nameOf returns the stage of a promotion (T8) or of a rollback (T9). A first deploy moves its Services at once.
func nameOf(memory *v1alpha1.Memory) Name {
	isFirst := memory.StableRevision == ""
	switch stage := plan.StageOf(memory); stage {
	case plan.StagePromoteCanary:
		return NamePods
	case plan.StagePromoteWeight:
		if isFirst {
			return NamePods
		}
		return NameFullWeight
	case plan.StagePromoteStable, plan.StagePromoteEnd:
		switch {
		case isFirst:
			return NameServe
		case stage == plan.StagePromoteStable:
			return NameMoveStable
		case memory.Bake.Since != nil:
			return NameBake
		default:
			return NameZeroWeight
		}
	case plan.StageRollBackWeight:
		return NameReturnFullWeight
	case plan.StageRollBackStable:
		return NameReturnStable
	case plan.StageRollBackTraffic, plan.StageRollBackCanary:
		return NameReturnTraffic
	case plan.StageRollBackEnd:
		return NameReturnCanary
	case plan.StageNone:
	}
	return ""
}

// restOf returns the stage that follows a promotion or a rollback.
func (w *walk) restOf(memory *v1alpha1.Memory) Name {
	switch last := w.position.name; {
	case last == "" || last == NameDrain:
		return last
	case len(memory.Draining) > 0:
		return NameDrain
	case last == NameServe || last == NameZeroWeight || last == NameBake:
		return NameCommit
	case last == NameCommit || last == NameReturned:
		return last
	default:
		return NameReturned
	}
}

func (w *walk) what(at position) string {
	if at.name == NameStep {
		short, _ := plan.Describe(&w.spec.Steps[at.step-1])
		return short
	}
	return words[at.name]
}
