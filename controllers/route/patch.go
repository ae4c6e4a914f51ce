// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Patch returns a JSON patch (RFC 6902) that makes the route carry the target, or nil if it already does. The patch
// tests uid, generation, and everything that it replaces or inserts next to (T5). A route that has changed since it
// was read rejects the whole patch with HTTP 422, to be treated as a conflict. The rest of the route stays byte for
// byte. The error is a *Problem: the one that Read reports, or that the weights are too coarse for this target.
func Patch(obj *unstructured.Unstructured, pair Pair, target plan.Traffic) ([]byte, error) {
	l := layoutOf(obj, pair)
	if l.problem != nil {
		return nil, l.problem
	}
	for _, share := range []int32{target.Weight, target.Mirror} {
		if share < 0 || int64(share) > percent {
			return nil, fmt.Errorf("%d is not a percentage", share)
		}
	}
	if problem := l.mirrorProblem(); target.Mirror > 0 && problem != nil {
		return nil, problem
	}
	changes, problem := l.headerChanges(target.HeaderRoutes)
	if problem != nil {
		return nil, problem
	}
	operations, problem := l.operations(target, changes)
	if problem != nil {
		return nil, problem
	}
	if len(operations) == 0 {
		return nil, nil
	}
	guards := []jsonpatch.Operation{jsonpatch.Test("/metadata/uid", obj.GetUID()), jsonpatch.Test("/metadata/generation", obj.GetGeneration())}
	return json.Marshal(append(guards, operations...))
}

// operations puts the weights and mirrors first, while every rule is still in its place.
func (l *layout) operations(target plan.Traffic, c changes) ([]jsonpatch.Operation, *Problem) {
	var operations []jsonpatch.Operation
	for _, s := range l.sources {
		weights, ok := s.weightOperations(target.Weight)
		if !ok {
			return nil, l.tooCoarse(s, target.Weight)
		}
		mirrors := s.mirrorOperations(l.pair, target.Mirror)
		if len(weights)+len(mirrors)+len(c.added[s.index]) > 0 {
			operations = append(operations, s.identity()...)
		}
		operations = append(append(operations, weights...), mirrors...)
	}
	return append(operations, l.ruleOperations(c)...), nil
}

// identity tests that the pair is still in its place.
func (s source) identity() []jsonpatch.Operation {
	return []jsonpatch.Operation{
		jsonpatch.Test(s.path(s.stable)+"/name", s.stable.ref["name"]),
		jsonpatch.Test(s.path(s.canary)+"/name", s.canary.ref["name"]),
	}
}

func (s source) weightOperations(share int32) ([]jsonpatch.Operation, bool) {
	stable, canary, ok := s.split(share)
	return append(s.weightOperation(s.stable, stable), s.weightOperation(s.canary, canary)...), ok
}

func (s source) weightOperation(b backend, want int64) []jsonpatch.Operation {
	path := s.path(b) + "/weight"
	if have, ok := weightOf(b.ref); ok && have == want {
		return nil
	}
	if b.ref["weight"] == nil {
		return []jsonpatch.Operation{jsonpatch.Add(path, want)}
	}
	return []jsonpatch.Operation{jsonpatch.Test(path, b.ref["weight"]), jsonpatch.Replace(path, want)}
}

func (s source) path(b backend) string {
	return fmt.Sprintf("%s/backendRefs/%d", rulePath(s.index), b.index)
}

// ruleOperations goes from the last rule to the first, so that no operation moves a rule that another one refers to.
func (l *layout) ruleOperations(c changes) []jsonpatch.Operation {
	var operations []jsonpatch.Operation
	for i, rule := range slices.Backward(l.rules) {
		path := rulePath(i)
		if c.gone.Has(i) {
			operations = append(operations, jsonpatch.Test(path, rule), jsonpatch.Remove(path))
		}
		for _, fresh := range slices.Backward(c.added[i]) {
			operations = append(operations, jsonpatch.Add(path, fresh))
		}
	}
	return operations
}

// rulePath is the path of a rule in a JSON patch.
func rulePath(i int) string { return fmt.Sprintf("/spec/rules/%d", i) }
