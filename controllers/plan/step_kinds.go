// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// stepKind is everything that the planner has to know about one kind of step.
type stepKind interface {
	// enter sets the targets that a step asks for.
	enter(t *transition, step *v1alpha1.Step)
	// done is open once the rollout has everything that a step asked for.
	done(t *transition, step *v1alpha1.Step) gate
	// abortReason returns why a release is aborted when the step is done; empty if the next step follows.
	abortReason(t *transition, step *v1alpha1.Step) string
	// undecided returns why a step ends without the verdict that it waits for; empty if it has one, or waits for none.
	undecided(t *transition) string
	// describe returns what a step does, as its manifest names it, and the details that a line may have no room for.
	describe(step *v1alpha1.Step) (short, details string)
}

// kindOf has no default case, so that the linter reports a kind that is missing here.
func kindOf(step *v1alpha1.Step) stepKind {
	switch step.Kind() {
	case v1alpha1.StepSetCanaryScale:
		return scaleKind{}
	case v1alpha1.StepSetWeight:
		return weightKind{}
	case v1alpha1.StepSetHeaderRoute:
		return headerRouteKind{}
	case v1alpha1.StepSetMirrorRoute:
		return mirrorKind{}
	case v1alpha1.StepPause:
		return pauseKind{}
	case v1alpha1.StepAnalysis:
		return analysisKind{}
	case v1alpha1.StepUnknown:
	}
	return unknownKind{}
}

// Describe returns what a step does in at most a few words, beginning with its name in the manifest, and the details that a
// line may have no room for.
func Describe(step *v1alpha1.Step) (short, details string) { return kindOf(step).describe(step) }

// hasNoVerdict is embedded by the kinds that wait for no verdict.
type hasNoVerdict struct{}

func (hasNoVerdict) undecided(*transition) string { return "" }

// neverAborts is embedded by the kinds that the next step always follows.
type neverAborts struct{ hasNoVerdict }

func (neverAborts) abortReason(*transition, *v1alpha1.Step) string { return "" }

// whenVerified is embedded by the kinds that are done when every route is verified to carry what they ask for (T4).
type whenVerified struct{ neverAborts }

func (whenVerified) done(t *transition, _ *v1alpha1.Step) gate { return t.verified() }

type weightKind struct{ whenVerified }

func (weightKind) enter(t *transition, step *v1alpha1.Step) {
	t.mem.StepTargets.Weight = *step.SetWeight
}

func (weightKind) describe(step *v1alpha1.Step) (short, details string) {
	return fmt.Sprintf("setWeight %d", *step.SetWeight), ""
}

type mirrorKind struct{ whenVerified }

func (mirrorKind) enter(t *transition, step *v1alpha1.Step) {
	t.mem.StepTargets.MirrorPercent = mirrorPercent(step)
}

func (mirrorKind) describe(step *v1alpha1.Step) (short, details string) {
	return fmt.Sprintf("setMirrorRoute %d", mirrorPercent(step)), ""
}

func mirrorPercent(step *v1alpha1.Step) int32 { return ptr.Deref(step.SetMirrorRoute.Percent, 0) }

// Mirrors reports whether the steps ever copy requests.
func Mirrors(steps []v1alpha1.Step) bool {
	return slices.ContainsFunc(steps, func(step v1alpha1.Step) bool {
		return step.SetMirrorRoute != nil && mirrorPercent(&step) > 0
	})
}

type headerRouteKind struct{ whenVerified }

// enter skips a route that does not fit into the status. A step whose route is not in force is not done. Beside routes that are
// in force, another one would be in force at once: addHeaderRoute adds it.
func (headerRouteKind) enter(t *transition, step *v1alpha1.Step) {
	routes := t.withHeaderRoute(*step.SetHeaderRoute.DeepCopy())
	if fitsMemory(routes) && !(t.mem.Traffic.HeaderRoutesActive && t.isAdded(*step.SetHeaderRoute)) {
		t.setHeaderRoutes(routes)
	}
}

func (k headerRouteKind) done(t *transition, step *v1alpha1.Step) gate {
	if !fitsMemory(t.withHeaderRoute(*step.SetHeaderRoute)) {
		return stalledBy(v1alpha1.ReasonRouteLimitExceeded, "step %s: with setHeaderRoute %s the header routes would hold more than %d KiB: "+
			"use fewer or shorter matches, or remove header routes by earlier steps", t.stepNumber(), step.SetHeaderRoute.Name, maxHeaderRoutes>>10)
	}
	return k.whenVerified.done(t, step)
}

func (headerRouteKind) describe(step *v1alpha1.Step) (short, details string) {
	short = "setHeaderRoute " + step.SetHeaderRoute.Name
	if len(step.SetHeaderRoute.Matches) == 0 {
		return short + " removed", ""
	}
	return short, "(" + describeMatches(step.SetHeaderRoute.Matches) + ")"
}

func describeMatches(matches []v1alpha1.RequestMatch) string {
	all := make([]string, 0, len(matches))
	for _, match := range matches {
		var terms []string
		for _, header := range match.Headers {
			terms = append(terms, describeTerm(string(header.Name), string(ptr.Deref(header.Type, "")), header.Value))
		}
		for _, param := range match.QueryParams {
			terms = append(terms, describeTerm("?"+string(param.Name), string(ptr.Deref(param.Type, "")), param.Value))
		}
		if match.Method != nil {
			terms = append(terms, string(*match.Method))
		}
		if grpc := match.GRPCMethod; grpc != nil {
			terms = append(terms, describeTerm("method", string(ptr.Deref(grpc.Type, "")), ptr.Deref(grpc.Service, "*")+"/"+ptr.Deref(grpc.Method, "*")))
		}
		all = append(all, strings.Join(terms, " and "))
	}
	return strings.Join(all, " or ")
}

func describeTerm(name, kind, value string) string {
	if kind == "RegularExpression" { // of the Gateway API, for all kinds of matches
		return name + "~" + value
	}
	return name + "=" + value
}

// isAdded reports whether a header route of a step matches requests and is not among those that the steps have asked for.
func (v view) isAdded(route v1alpha1.SetHeaderRoute) bool {
	return len(route.Matches) > 0 && !slices.ContainsFunc(v.mem.StepTargets.HeaderRoutes, func(known v1alpha1.SetHeaderRoute) bool {
		return equality.Semantic.DeepEqual(known, route)
	})
}

// addHeaderRoute adds the header route of a step to those in force, as shiftTraffic adds the first one.
func (t *transition) addHeaderRoute(step *v1alpha1.Step) gate {
	route := step.SetHeaderRoute
	if route == nil || !t.isAdded(*route) || !fitsMemory(t.withHeaderRoute(*route)) {
		return gate{}
	}
	for _, g := range []gate{t.strategy.canServe(t.view, max(t.podsFor(t.traffic().load()), 1)), t.verified()} {
		if g.shut {
			return g
		}
	}
	t.setHeaderRoutes(t.withHeaderRoute(*route.DeepCopy()))
	return t.verified()
}

// withHeaderRoute returns the header routes that the steps ask for, with the route of that name replaced, or removed if the new
// one has no matches.
func (v view) withHeaderRoute(route v1alpha1.SetHeaderRoute) []v1alpha1.SetHeaderRoute {
	routes := slices.DeleteFunc(slices.Clone(v.mem.StepTargets.HeaderRoutes), func(known v1alpha1.SetHeaderRoute) bool {
		return known.Name == route.Name
	})
	if len(route.Matches) > 0 {
		routes = append(routes, route)
	}
	if len(routes) == 0 {
		return nil
	}
	return routes
}

type scaleKind struct{ neverAborts }

func (scaleKind) enter(t *transition, step *v1alpha1.Step) {
	t.mem.StepTargets.Scale = nil
	if step.SetCanaryScale.MatchTrafficWeight == nil {
		t.mem.StepTargets.Scale = step.SetCanaryScale.DeepCopy()
	}
}

func (scaleKind) done(t *transition, _ *v1alpha1.Step) gate { return t.sized(t.canarySize()) }

func (scaleKind) describe(step *v1alpha1.Step) (short, details string) {
	size := "to match the weight"
	switch scale := step.SetCanaryScale; {
	case scale.Replicas != nil:
		size = Quantity(*scale.Replicas, "pod")
	case scale.Weight != nil:
		size = fmt.Sprintf("%d %%", *scale.Weight)
	}
	if step.SetCanaryScale.Mode == v1alpha1.ScaleModeExact {
		size += ", exactly"
	}
	return "setCanaryScale " + size, ""
}

// unknownKind is a step with a field that this version does not know. A newer CRD admits it.
type unknownKind struct{ neverAborts }

func (unknownKind) enter(*transition, *v1alpha1.Step) {}

func (unknownKind) done(t *transition, _ *v1alpha1.Step) gate {
	return stalledBy(v1alpha1.ReasonUnsupportedStep, "step %s is of a kind that this version of the operator does not know: "+
		"run a newer version, or edit the steps", t.stepNumber())
}

func (unknownKind) describe(*v1alpha1.Step) (short, details string) {
	return "unknown to this version", ""
}
