// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// Refused returns why a pass would ignore a command annotation; empty if it would accept it. It lets clients check a command
// before they write it, by the same rules, with what the status tells. target is the revision of spec.template, or empty
// while that is not known.
func Refused(rollout *v1alpha1.CanaryRollout, target, key, value string) string {
	status := rollout.Status
	if status.Memory == nil {
		return "the operator has not reconciled the rollout yet"
	}
	if why := unsupported(status.Memory); why != "" {
		return "a newer version wrote the status: " + why
	}
	v := view{
		in:  &Input{Spec: rollout.Spec, Prior: status, Observed: Observed{Template: Template{Revision: target}, StepsHash: SeenStepsHash(rollout)}},
		mem: status.Memory,
	}
	for _, revision := range []*v1alpha1.RevisionStatus{status.Stable, status.Canary} {
		if revision == nil {
			continue
		}
		v.in.Observed.ReplicaSets = append(v.in.Observed.ReplicaSets, ReplicaSet{Revision: revision.Revision, Ready: revision.Ready})
		// A status has no endpoints. The ready pods of a canary are, or will be, the endpoints of its Service.
		v.in.Observed.Canary.Endpoints = append(v.in.Observed.Canary.Endpoints, Endpoints{Revision: revision.Revision, Ready: revision.Ready})
	}
	v.in.Commands = commandsOf(key, value)
	for _, given := range v.requests() {
		return given.refused
	}
	return key + " is not a command"
}

// SeenStepsHash returns the hash of the steps in memory if the status is about the current spec. Otherwise the steps may have
// been edited since, and it returns the empty string, which equals no hash in memory.
func SeenStepsHash(rollout *v1alpha1.CanaryRollout) string {
	if rollout.Status.ObservedGeneration < rollout.Generation {
		return ""
	}
	return rollout.Status.Memory.StepsHash
}

func commandsOf(key, value string) Commands {
	switch key {
	case v1alpha1.AbortAnnotation:
		return Commands{Abort: &value}
	case v1alpha1.RetryAnnotation:
		return Commands{Retry: &value}
	case v1alpha1.PromoteAnnotation:
		return Commands{Promote: &value}
	default:
		return Commands{}
	}
}

// CurrentStep returns the index of the current step of a rollout, counted from 0: the number of steps when all are done, and
// -1 outside of the steps. It also returns the pause that a promote would end, if the step is one.
func CurrentStep(rollout *v1alpha1.CanaryRollout) (index int, pause *v1alpha1.Pause) {
	memory := rollout.Status.Memory
	if memory == nil {
		return -1, nil
	}
	v := view{in: &Input{Spec: rollout.Spec, Observed: Observed{StepsHash: SeenStepsHash(rollout)}}, mem: memory}
	switch memory.Phase {
	case v1alpha1.PhaseStepping:
		return min(int(memory.StepIndex), len(rollout.Spec.Steps)), v.pauseStep()
	case v1alpha1.PhasePromoting:
		return len(rollout.Spec.Steps), nil
	default:
		return -1, nil
	}
}
