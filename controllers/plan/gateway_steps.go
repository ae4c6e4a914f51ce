// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// What steps ask for and routes cannot do.

// MirrorRecheck is the interval at which a gateway that does not support a step is checked again: GatewayClasses are not
// watched.
const MirrorRecheck = 30 * time.Second

// stepProblem returns what blocks the steps: weights that a route cannot express, which block even the first step, or a
// feature that its gateway does not support, which blocks the step that asks for it. Neither blocks a first deploy, which
// has no steps, nor a promotion or a rollback, which use only the weights 0 and 100 and no mirror.
func (gatewayCanary) stepProblem(v view, route Route) *Problem {
	if !v.isWalking() {
		return nil
	}
	return cmp.Or(WeightProblem(route, v.in.Spec.Steps), unsupportedTargets(v, route))
}

// isWalking reports whether the rollout is at a step, or would be after the next pass.
func (v view) isWalking() bool {
	target := v.target()
	isWaiting := v.mem.Phase == v1alpha1.PhaseIdle && target != "" && target != v.mem.StableRevision && target != v.mem.AbortedRevision
	return v.mem.StableRevision != "" && (v.mem.Phase == v1alpha1.PhaseStepping || isWaiting)
}

// unsupportedTargets returns what the steps ask for up to the current one and the gateway of a route does not support.
func unsupportedTargets(v view, route Route) *Problem {
	if v.mem.Phase != v1alpha1.PhaseStepping {
		return nil
	}
	var problem *Problem
	if v.mem.StepTargets.MirrorPercent > 0 {
		problem = route.Unsupported.Mirror
	}
	headerRoutes := v.mem.StepTargets.HeaderRoutes
	if step := v.currentStep(); step != nil && step.SetHeaderRoute != nil { // it may not be among them yet
		headerRoutes = append(slices.Clip(headerRoutes), *step.SetHeaderRoute)
	}
	for _, headerRoute := range headerRoutes {
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

// recheck is shut until a gateway that does not support what the steps ask for is checked again.
func (gatewayCanary) recheck(v view) gate {
	for _, route := range v.in.Observed.Routes {
		if !route.Leaving && v.isWalking() && unsupportedTargets(v, route) != nil {
			return v.until(v.in.Now.Add(MirrorRecheck))
		}
	}
	return gate{}
}

// removeRefused removes the mirror and the header routes from the target when a gateway refuses a route that carries them for
// the first time. It does not wait: a gateway may not serve a route that it refuses. A weight alone is never removed, since
// every gateway has to support it.
func (gatewayCanary) removeRefused(v view) decision {
	extras := extras(v)
	if len(extras) == 0 || readyOf(v.in.Observed.Stable, v.mem.StableRevision) == 0 {
		return nil
	}
	for _, route := range v.in.Observed.Routes {
		record := recordOf(v.mem.Traffic.Routes, route)
		// A route that is handed back gets neither in any case, and so does not hold the steps.
		if record == nil || record.Accepted || route.RefusedGeneration < record.Generation || isHandedBack(v, route) {
			continue
		}
		return func(t *transition) {
			if t.mem.Phase == v1alpha1.PhaseStepping { // a promotion asks for neither
				t.mem.StepRefusal = fmt.Sprintf("refused %s in %s %s: %s", excerpt(strings.Join(extras, " and ")), route.Kind, route.Name, excerpt(route.Pending))
			}
			t.setTraffic(Traffic{Weight: t.mem.Traffic.Weight})
		}
	}
	return nil
}

// extras returns the mirror and the header routes in the target, as steps name them.
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

// refusedStep blocks the steps while a gateway refuses what they ask for. It does not block an abort, nor a promotion, which
// has no mirror and no header routes.
func (gatewayCanary) refusedStep(v view) *Problem {
	if v.mem.StepRefusal == "" {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonStepRefused, Message: fmt.Sprintf(
		"step %s waits: a gateway %s. It was removed from the routes: edit the steps; or fix the cause, abort and retry", v.stepNumber(), v.mem.StepRefusal)}
}

// WeightProblem returns a problem if the pair's total in a shared rule cannot express every weight of the steps (T5).
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
		"%s %s: the weights of the rule with the Services and other backends are too coarse for the steps: multiply every weight of that rule by %d",
		route.Kind, route.Name, factor)}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
