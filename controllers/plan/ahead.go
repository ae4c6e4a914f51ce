// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// MirrorRecheck is how long a gateway that cannot do what a step asks for is taken at its word: classes are not watched.
const MirrorRecheck = 30 * time.Second

// cannotStep is what holds the steps: weights that a route cannot express, which are known before the first step is walked,
// and what its gateway does not support, which holds the step that asks for it. Neither holds a deployment, which walks no
// steps, nor a promotion or a way back, which take the weights 0 and 100 only and no mirror.
func (p *pass) cannotStep(route Route) *Problem {
	if !p.isWalking() {
		return nil
	}
	return cmp.Or(WeightProblem(route, p.in.Spec.Steps), p.unsupported(route))
}

// isWalking says that steps are walked, or would be by the next pass.
func (p *pass) isWalking() bool {
	target := p.target()
	isWaiting := p.mem.Phase == v1alpha1.PhaseIdle && target != "" && target != p.mem.StableRevision && target != p.mem.AbortedRevision
	return p.mem.StableRevision != "" && (p.mem.Phase == v1alpha1.PhaseStepping || isWaiting)
}

// unsupported is what the steps ask for by now and the gateway of a route cannot do.
func (p *pass) unsupported(route Route) *Problem {
	if p.mem.Phase != v1alpha1.PhaseStepping {
		return nil
	}
	var problem *Problem
	if p.mem.StepMirrorPercent > 0 {
		problem = route.Unsupported.Mirror
	}
	for _, headerRoute := range p.mem.StepHeaderRoutes {
		for _, match := range headerRoute.Matches {
			if len(match.QueryParams) > 0 {
				problem = cmp.Or(problem, route.Unsupported.QueryParams)
			}
			if match.Method != nil {
				problem = cmp.Or(problem, route.Unsupported.Method)
			}
		}
	}
	if problem != nil {
		p.reached(p.in.Now.Add(MirrorRecheck))
	}
	return problem
}

// Mirrors says whether the steps ever copy requests.
func Mirrors(steps []v1alpha1.Step) bool {
	return slices.ContainsFunc(steps, func(step v1alpha1.Step) bool {
		return step.SetMirrorRoute != nil && ptr.Deref(step.SetMirrorRoute.Percent, 0) > 0
	})
}

// WeightProblem says when the pair's total in a shared rule cannot express every weight of the steps (T5).
func WeightProblem(route Route, steps []v1alpha1.Step) *Problem {
	if route.Total == 0 {
		return nil
	}
	factor := int64(1)
	for _, step := range steps {
		if step.SetWeight != nil {
			whole := int64(route.Total) * int64(*step.SetWeight) * factor
			factor *= 100 / gcd(whole, 100)
		}
	}
	if factor == 1 {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonWeightNotRepresentable, Message: fmt.Sprintf(
		"%s %s: the weights of the rule that holds the Services beside other backends are too coarse for the steps: multiply every weight of that rule by %d",
		route.Kind, route.Name, factor)}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
