// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Pair is the two backends of one rollout.
type Pair struct {
	// Rollout and Namespace are those of the rollout; its routes and Services are in the same namespace (T10).
	Rollout, Namespace string
	// Stable and Canary are the names of the Services.
	Stable, Canary string
	// RuleNames are the names of the rules that may be written; empty means all rules with the pair.
	RuleNames []string
	// Missing are the fields that the served schema lacks.
	Missing Missing
}

// Missing are the optional fields that an older Gateway API lacks. The API server drops fields that the schema lacks,
// so these are never written then.
type Missing struct {
	// RuleNames reports whether rules lack a name.
	RuleNames bool
	// MirrorFraction reports whether mirrors lack a fraction, and copy all requests or none.
	MirrorFraction bool
}

// Reading is what a route carries.
type Reading struct {
	// Generation is the generation of the route's spec.
	Generation int64
	// Weight is the canary's share in percent in every managed rule, or plan.MixedWeight.
	Weight int32
	// Mirror is the percentage that a filter of ours copies to the canary in every managed rule, or plan.MixedWeight.
	Mirror int32
	// Mirrored reports whether a managed rule has a mirror of the user's.
	Mirrored bool
	// MirrorProblem is what the user has to fix before a mirror can be written.
	MirrorProblem *Problem
	// Headers compares our header rules to the ones asked for.
	Headers plan.HeaderState
	// Total is the greatest common divisor of the pair's totals in the managed rules with other weighted backends; 0
	// if there is no such rule. A weight w can be written if Total*w is divisible by 100.
	Total int32
	// Problem is what the user has to fix before the route can be written.
	Problem *Problem
	// OtherUses name the user's rules that use only one of the two Services.
	OtherUses string
}

// Problem is something in a route that the user has to fix. It is also the error of Patch.
type Problem struct {
	plan.Problem

	// Path is the rule to change, for example spec.rules[0]; empty if it is not about one rule.
	Path string
	// HeadersOnly reports whether only the header routes cannot be written. The weights can then be read, and written
	// without header routes, so that a problem with a header route never blocks an abort.
	HeadersOnly bool
}

func newProblem(reason, format string, args ...any) *Problem {
	return &Problem{Problem: plan.Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}}
}

// headersProblem concerns only header routes.
func headersProblem(reason, format string, args ...any) *Problem {
	problem := newProblem(reason, format, args...)
	problem.HeadersOnly = true
	return problem
}

// ruleProblem concerns one rule.
func ruleProblem(rule int, reason, format string, args ...any) *Problem {
	problem := newProblem(reason, format, args...)
	problem.Path = fieldPath(rule)
	return problem
}

// Error implements error.
func (p *Problem) Error() string { return p.Reason + ": " + p.Message }

// Read returns what the route carries. Its Headers are relative to these header routes.
func Read(obj *unstructured.Unstructured, pair Pair, headerRoutes []v1alpha1.SetHeaderRoute) Reading {
	l := layoutOf(obj, pair)
	changes, problem := l.headerChanges(headerRoutes)
	reading := Reading{
		Generation: obj.GetGeneration(),
		Weight:     plan.MixedWeight,
		Mirror:     plan.MixedWeight,
		Headers:    l.headerState(changes, problem),
		OtherUses:  strings.Join(l.others, "; "),
		Problem:    l.problem,
	}
	if l.problem == nil {
		reading.Weight, reading.Total, reading.Problem = l.weight(), l.total(), problem
		reading.Mirror, reading.MirrorProblem = l.mirror(), l.mirrorProblem()
		reading.Mirrored = slices.ContainsFunc(l.sources, func(s source) bool { return pair.isMirrored(s.rule) })
	}
	return reading
}
