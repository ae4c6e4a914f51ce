// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// What routes cannot do of what steps ask for.

// MirrorRecheck is how long a gateway that cannot do what a step asks for is trusted: classes are not watched.
const MirrorRecheck = 30 * time.Second

// stepProblem is what holds the steps: weights that a route cannot express, which are known before the first step is walked,
// and what its gateway does not support, which holds the step that asks for it. Neither holds a deployment, which walks no
// steps, nor a promotion or a rollback, which take the weights 0 and 100 only and no mirror.
func (gatewayCanary) stepProblem(v view, route Route) *Problem {
	if !v.isWalking() {
		return nil
	}
	return cmp.Or(WeightProblem(route, v.in.Spec.Steps), unsupportedTargets(v, route))
}

// isWalking reports whether steps are walked, or would be by the next pass.
func (v view) isWalking() bool {
	target := v.target()
	isWaiting := v.mem.Phase == v1alpha1.PhaseIdle && target != "" && target != v.mem.StableRevision && target != v.mem.AbortedRevision
	return v.mem.StableRevision != "" && (v.mem.Phase == v1alpha1.PhaseStepping || isWaiting)
}

// unsupportedTargets is what the steps ask for by now and the gateway of a route cannot do.
func unsupportedTargets(v view, route Route) *Problem {
	if v.mem.Phase != v1alpha1.PhaseStepping {
		return nil
	}
	var problem *Problem
	if v.mem.StepTargets.MirrorPercent > 0 {
		problem = route.Unsupported.Mirror
	}
	for _, headerRoute := range v.mem.StepTargets.HeaderRoutes {
		for _, match := range headerRoute.Matches {
			if len(match.QueryParams) > 0 {
				problem = cmp.Or(problem, route.Unsupported.QueryParams)
			}
			if match.Method != nil {
				problem = cmp.Or(problem, route.Unsupported.Method)
			}
		}
	}
	return problem
}

// recheck is when to ask a gateway again that cannot do what the steps ask for.
func (gatewayCanary) recheck(v view) gate {
	for _, route := range v.in.Observed.Routes {
		if !route.Leaving && v.isWalking() && unsupportedTargets(v, route) != nil {
			return v.until(v.in.Now.Add(MirrorRecheck))
		}
	}
	return gate{}
}

// takeOut takes the mirror and the header routes out of the target when a gateway refuses a route that carries them for the
// first time. Nothing waits for that: a gateway may not serve a route that it refuses. A weight alone is never taken back,
// since every gateway has to support it.
func (gatewayCanary) takeOut(v view) decision {
	extras := extras(v)
	if len(extras) == 0 || readyOf(v.in.Observed.Stable, v.mem.StableRevision) == 0 {
		return nil
	}
	for _, route := range v.in.Observed.Routes {
		record := recordOf(v.mem.Traffic.Routes, route)
		if record == nil || record.Accepted || route.RefusedGeneration < record.Generation || isHandedBack(v, route) {
			continue
		}
		return func(t *transition) {
			t.mem.StepRefusal = fmt.Sprintf("refused %s in %s %s: %s", quote(strings.Join(extras, " and ")), route.Kind, route.Name, quote(route.Pending))
			t.setTraffic(Traffic{Weight: t.mem.Traffic.Weight})
		}
	}
	return nil
}

// extras are the mirror and the header routes in the target, as steps name them.
func extras(v view) []string {
	var extras []string
	add := func(step v1alpha1.Step) {
		short, _ := Describe(&step)
		extras = append(extras, short)
	}
	target := v.traffic()
	if target.Mirror > 0 {
		add(v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: &target.Mirror}})
	}
	for i := range target.HeaderRoutes {
		add(v1alpha1.Step{SetHeaderRoute: &target.HeaderRoutes[i]})
	}
	return extras
}

// refusedStep holds the steps while what they ask for is refused. It does not hold an abort, nor a promotion, which is
// without a mirror and without header routes.
func (gatewayCanary) refusedStep(v view) *Problem {
	if v.mem.StepRefusal == "" {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonStepRefused, Message: fmt.Sprintf(
		"step %s waits: a gateway %s. It was taken out of the routes: edit the steps; or fix the cause, abort and retry", v.stepNumber(), v.mem.StepRefusal)}
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
