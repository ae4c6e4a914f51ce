// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// Stage is the stage of a promotion (T8) or a rollback (T9). It is derived from the targets in memory, so there is no cursor
// that could be wrong after a crash.
type Stage string

const (
	// StageNone is outside of a promotion and of a rollback.
	StageNone Stage = ""

	// StagePromoteCanary scales the pods up and moves the canary Service to them, until they can get all requests.
	StagePromoteCanary Stage = "PromoteCanary"
	// StagePromoteWeight has weight 100 as the target, until that is verified and settled.
	StagePromoteWeight Stage = "PromoteWeight"
	// StagePromoteStable has moved the stable Service, until its endpoints have settled.
	StagePromoteStable Stage = "PromoteStable"
	// StagePromoteEnd has weight 0 as the target again, until that is verified and settled.
	StagePromoteEnd Stage = "PromoteEnd"

	// StageRollBackWeight sets weight 100 on the canary Service, so that the stable Service can be moved back.
	StageRollBackWeight Stage = "RollBackWeight"
	// StageRollBackStable has moved the stable Service back, until its endpoints have settled.
	StageRollBackStable Stage = "RollBackStable"
	// StageRollBackTraffic removes all requests from the canary Service.
	StageRollBackTraffic Stage = "RollBackTraffic"
	// StageRollBackCanary has no requests to the canary Service as the target, until that is verified and settled.
	StageRollBackCanary Stage = "RollBackCanary"
	// StageRollBackEnd has moved the canary Service back.
	StageRollBackEnd Stage = "RollBackEnd"
)

// promotionStages and rollbackStages are the stages in their order.
var (
	promotionStages = []Stage{StagePromoteCanary, StagePromoteWeight, StagePromoteStable, StagePromoteEnd}
	rollbackStages  = []Stage{StageRollBackWeight, StageRollBackStable, StageRollBackTraffic, StageRollBackCanary, StageRollBackEnd}
)

// StageOf returns the stage that a memory is in.
func StageOf(memory *v1alpha1.Memory) Stage {
	traffic := memory.Traffic
	reachesCanary := traffic.Weight > 0 || traffic.MirrorPercent > 0 || traffic.HeaderRoutesActive
	switch memory.Phase {
	case v1alpha1.PhasePromoting:
		return promotionStage(memory)
	case v1alpha1.PhaseRollingBack:
	case v1alpha1.PhaseIdle, v1alpha1.PhaseStepping:
		return StageNone
	}
	switch {
	case memory.StableService.Revision != memory.StableRevision:
		return StageRollBackWeight
	case traffic.Weight == 100:
		return StageRollBackStable
	case reachesCanary:
		return StageRollBackTraffic
	case memory.CanaryService.Revision != memory.StableRevision:
		return StageRollBackCanary
	default:
		return StageRollBackEnd
	}
}

func promotionStage(memory *v1alpha1.Memory) Stage {
	hasMoved := memory.StableService.Revision == memory.CurrentRevision
	switch {
	case !hasMoved && memory.Traffic.Weight < 100:
		return StagePromoteCanary
	case !hasMoved:
		return StagePromoteWeight
	case memory.Traffic.Weight > 0:
		return StagePromoteStable
	default:
		return StagePromoteEnd
	}
}
