// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// Refused says why a command annotation would be ignored by the pass that finds it; empty if it would be accepted. It
// is for those who want to know before they write one, and judges by the same rules, on what a status tells. The
// target is the revision of spec.template, or empty while that is not known.
func Refused(rollout *v1alpha1.CanaryRollout, target, key, value string) string {
	status := rollout.Status
	if status.Memory == nil {
		return "the operator has not looked at the rollout yet"
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
		// A status does not tell endpoints; the ready pods of a canary are those of its Service, or will be.
		v.in.Observed.Canary.Endpoints = append(v.in.Observed.Canary.Endpoints, Endpoints{Revision: revision.Revision, Ready: revision.Ready})
	}
	v.in.Commands = commandsOf(key, value)
	for _, given := range v.requests() {
		return given.refused
	}
	return key + " is no command"
}

// SeenStepsHash is the hash of the steps as far as a status tells: they are those in memory once the status is about the
// spec as it stands. It is empty for steps that may have been edited since, which no hash in memory is.
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

// CurrentStep is the index of the step that a rollout is at, counted from 0: the number of steps when all are done, and
// -1 when none is walked. A pause is one that a promote would leave.
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
