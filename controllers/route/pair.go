// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// layout is the rules of a route as seen by one pair.
type layout struct {
	// label names the route in messages.
	label string
	kind  profile
	pair  Pair
	rules []any
	// sources are the managed rules, own the indexes of our header rules, others the user's other uses of the pair.
	sources []source
	own     sets.Set[int]
	others  []string
	// problem is the first reason why the pair cannot be managed.
	problem *Problem
}

// source is a managed rule, and the source of header rules.
type source struct {
	// index is its place in spec.rules.
	index          int
	rule           map[string]any
	stable, canary backend
	// shared reports whether other backends of the rule have a weight, so that the pair's total is the user's.
	shared bool
}

// backend is a backendRef and its place in its rule.
type backend struct {
	index int
	ref   map[string]any
}

// Ports returns the ports of the two Services that the pair's backendRefs name.
func Ports(obj *unstructured.Unstructured, pair Pair) (stable, canary []int32) {
	for _, s := range layoutOf(obj, pair).sources {
		stable, canary = append(stable, s.stable.ports()...), append(canary, s.canary.ports()...)
	}
	return stable, canary
}

// ports returns the port that the backendRef names; none if it names none, or an invalid one.
func (b backend) ports() []int32 {
	port, isPort := integer(b.ref["port"])
	if !isPort || port < 1 || port > math.MaxUint16 {
		return nil
	}
	return []int32{int32(port)}
}

// layoutOf sorts the rules of a route. One rule that cannot be managed is a problem even if others can: a weight is
// only true if it holds in every rule with the pair.
func layoutOf(obj *unstructured.Unstructured, pair Pair) *layout {
	l := &layout{label: labelOf(obj), kind: profileOf(obj.GetKind()), pair: pair, rules: list(obj.Object, "spec", "rules"), own: sets.New[int]()}
	otherNamespace := -1
	for i, item := range l.rules {
		rule, _ := item.(map[string]any)
		uses := pair.usesOf(list(rule, "backendRefs"))
		if uses.allInOtherNamespace() {
			otherNamespace = i
			continue
		}
		l.sort(i, rule, uses)
	}
	switch {
	case l.problem != nil || len(l.sources) > 0:
	case otherNamespace >= 0:
		l.reject(l.crossNamespace(otherNamespace))
	case len(pair.RuleNames) > 0:
		l.reject(newProblem(v1alpha1.ReasonBackendPairNotFound,
			"none of the rules %s of %s names both Services: put backendRefs to %s and to %s into one of them, or correct ruleNames",
			strings.Join(pair.RuleNames, ", "), l.label, pair.Stable, pair.Canary))
	default:
		l.reject(newProblem(v1alpha1.ReasonBackendPairNotFound,
			"no rule of %s names both Services: put backendRefs to %s and to %s into the same rule", l.label, pair.Stable, pair.Canary))
	}
	return l
}

// sort classifies one rule.
func (l *layout) sort(i int, rule map[string]any, uses uses) {
	stables, canaries := len(uses.stable), len(uses.canary)
	switch {
	case !l.pair.isScoped(rule) && !l.pair.owns(rule):
		l.use(i, stables > 0, canaries > 0)
	case stables == 1 && canaries == 1:
		l.manage(newSource(i, rule, uses))
	case stables > 0 && canaries > 0:
		l.reject(ruleProblem(i, v1alpha1.ReasonBackendPairAmbiguous,
			"%s names %s %d times and %s %d times: name each once in a rule, and use a separate rule for each further port",
			l.at(i), l.pair.Stable, stables, l.pair.Canary, canaries))
	case uses.splitAcrossNamespaces():
		l.reject(l.crossNamespace(i))
	case l.pair.owns(rule):
		l.own.Insert(i)
	default:
		l.use(i, stables > 0, canaries > 0)
	}
}

// use records a rule that uses the pair in another way.
func (l *layout) use(i int, stable, canary bool) {
	switch {
	case stable && canary:
		l.others = append(l.others, fmt.Sprintf("%s names both Services and is not among the ruleNames", l.at(i)))
	case stable:
		l.others = append(l.others, fmt.Sprintf("%s names %s without %s", l.at(i), l.pair.Stable, l.pair.Canary))
	case canary:
		l.others = append(l.others, fmt.Sprintf("%s names %s without %s", l.at(i), l.pair.Canary, l.pair.Stable))
	}
}

// isScoped reports whether the rollout may write a rule.
func (p Pair) isScoped(rule map[string]any) bool {
	return len(p.RuleNames) == 0 || slices.Contains(p.RuleNames, nameOf(rule))
}

// manage adds a managed rule. Beside other backends the user sets the pair's total (T5): if it is zero, there is
// nothing to split.
func (l *layout) manage(s source) {
	l.sources = append(l.sources, s)
	if s.total() == 0 {
		l.reject(ruleProblem(s.index, v1alpha1.ReasonWeightNotRepresentable,
			"%s gives %s and %s no weight beside other backends, so there is nothing to split: set the weight of %s to the share that both should have together, for example 100",
			l.at(s.index), l.pair.Stable, l.pair.Canary, l.pair.Stable))
	}
}

// reject keeps the first problem.
func (l *layout) reject(problem *Problem) {
	if l.problem == nil {
		l.problem = problem
	}
}

func (l *layout) crossNamespace(i int) *Problem {
	return ruleProblem(i, v1alpha1.ReasonBackendPairCrossNamespace,
		"%s names %s and %s in two namespaces or in another one: Services, routes and rollout must be in namespace %s; move the Services there and remove namespace from the backendRefs",
		l.at(i), l.pair.Stable, l.pair.Canary, l.pair.Namespace)
}

// at names a rule in messages, by its path in the object.
func (l *layout) at(i int) string { return l.label + " " + fieldPath(i) }

// fieldPath is the path of a rule, as people write it.
func fieldPath(i int) string { return fmt.Sprintf("spec.rules[%d]", i) }

// uses are the places where a rule names the pair's Services.
type uses struct {
	refs           []any
	stable, canary []backend
	// stableInOtherNamespace and canaryInOtherNamespace report whether the rule names a Service of that name in another
	// namespace.
	stableInOtherNamespace, canaryInOtherNamespace bool
}

// isService reports whether a backendRef refers to a Service. Some users write "core" for the core group, whose name
// is empty.
func isService(ref map[string]any) bool {
	group := field(ref, "group", "")
	return (group == "" || group == "core") && field(ref, "kind", "Service") == "Service"
}

// NamespaceOf returns the namespace that the backendRefs to the pair name; empty if they name none.
func NamespaceOf(obj *unstructured.Unstructured, pair Pair) string {
	for _, rule := range list(obj.Object, "spec", "rules") {
		fields, _ := rule.(map[string]any)
		for _, item := range list(fields, "backendRefs") {
			ref, _ := item.(map[string]any)
			name := field(ref, "name", "")
			if namespace := field(ref, "namespace", ""); namespace != "" && isService(ref) && (name == pair.Stable || name == pair.Canary) {
				return namespace
			}
		}
	}
	return ""
}

// usesOf finds the pair by group, kind, namespace and name (T5). The port does not identify a Service, so it is ignored.
func (p Pair) usesOf(refs []any) uses {
	found := uses{refs: refs}
	for i, item := range refs {
		ref, _ := item.(map[string]any)
		if !isService(ref) {
			continue
		}
		home := field(ref, "namespace", p.Namespace) == p.Namespace
		switch name := field(ref, "name", ""); {
		case name == p.Stable && home:
			found.stable = append(found.stable, backend{i, ref})
		case name == p.Canary && home:
			found.canary = append(found.canary, backend{i, ref})
		case name == p.Stable:
			found.stableInOtherNamespace = true
		case name == p.Canary:
			found.canaryInOtherNamespace = true
		}
	}
	return found
}

// allInOtherNamespace reports whether the rule splits between Services of these names in other namespaces. That is the
// pair of another rollout, as long as ours is elsewhere in the route.
func (u uses) allInOtherNamespace() bool {
	return u.stableInOtherNamespace && u.canaryInOtherNamespace && len(u.stable)+len(u.canary) == 0
}

// splitAcrossNamespaces reports whether a rule would have the pair if one of the two did not name another namespace
// (T10).
func (u uses) splitAcrossNamespaces() bool {
	return len(u.stable) > 0 && u.canaryInOtherNamespace || len(u.canary) > 0 && u.stableInOtherNamespace
}

func newSource(index int, rule map[string]any, found uses) source {
	s := source{index: index, rule: rule, stable: found.stable[0], canary: found.canary[0]}
	for i, item := range found.refs {
		if i != s.stable.index && i != s.canary.index && weighted(item) {
			s.shared = true
		}
	}
	return s
}
