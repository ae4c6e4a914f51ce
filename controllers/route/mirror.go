// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// requestMirror is the type of a filter that copies requests, requestMirrorField the field with its settings.
	requestMirror, requestMirrorField = "RequestMirror", "requestMirror"
	// maxFilters is how many filters a rule may have.
	maxFilters = 16
)

// mirror is a filter of ours, and its index in the rule.
type mirror struct {
	index  int
	filter map[string]any
}

// mirrors returns our filters in a managed rule. The package comment says why none of the user's is among them.
func (p Pair) mirrors(rule map[string]any) []mirror {
	var found []mirror
	for i, item := range list(rule, "filters") {
		filter, _ := item.(map[string]any)
		if _, isOurs := p.mirrored(filter); isOurs {
			found = append(found, mirror{i, filter})
		}
	}
	return found
}

// mirrored returns the percentage that a filter of ours copies to the canary.
func (p Pair) mirrored(filter map[string]any) (share int32, isOurs bool) {
	copies, _ := filter[requestMirrorField].(map[string]any)
	target, _ := copies["backendRef"].(map[string]any)
	if field(filter, "type", "") != requestMirror || len(p.usesOf([]any{target}).canary) != 1 {
		return 0, false
	}
	if p.Missing.MirrorFraction && copies["fraction"] == nil && copies["percent"] == nil {
		return int32(percent), true
	}
	fraction, _ := copies["fraction"].(map[string]any)
	numerator, isNumber := integer(fraction["numerator"])
	denominator, _ := integer(fraction["denominator"])
	isOurs = isNumber && numerator%marker == 0 && denominator == marker*percent
	return int32(numerator / marker), isOurs
}

// mirrorFilter returns a filter that copies a percentage of the requests to the target of the canary's backendRef.
func (s source) mirrorFilter(share int32) map[string]any {
	target := map[string]any{"group": "", "kind": "Service"}
	for _, key := range []string{"group", "kind", "namespace", "name", "port"} {
		if value := s.canary.ref[key]; value != nil {
			target[key] = value
		}
	}
	return map[string]any{"type": requestMirror, requestMirrorField: map[string]any{
		"backendRef": target,
		"fraction":   map[string]any{"numerator": int64(share) * marker, "denominator": percent * marker},
	}}
}

// mirrorShare returns the percentage that our only filter in the rule copies, 0 if there is none, or plan.MixedWeight.
func (s source) mirrorShare(pair Pair) int32 {
	switch own := pair.mirrors(s.rule); len(own) {
	case 0:
		return 0
	case 1:
		share, _ := pair.mirrored(own[0].filter)
		if equality.Semantic.DeepEqual(own[0].filter, s.mirrorFilter(share)) {
			return share
		}
	}
	return plan.MixedWeight
}

// mirror returns the percentage that all managed rules agree on, or plan.MixedWeight.
func (l *layout) mirror() int32 {
	var agreed int32
	for i, s := range l.sources {
		share := s.mirrorShare(l.pair)
		if i > 0 && share != agreed {
			return plan.MixedWeight
		}
		agreed = share
	}
	return agreed
}

// mirrorOperations returns the operations that leave one filter of ours in the rule, or none, and keep the user's. A
// list that becomes empty is removed as a whole: it was most likely created for the mirror.
func (s source) mirrorOperations(pair Pair, share int32) []jsonpatch.Operation {
	if s.mirrorShare(pair) == share {
		return nil
	}
	path, all, own := rulePath(s.index)+"/filters", list(s.rule, "filters"), pair.mirrors(s.rule)
	fresh := s.mirrorFilter(share)
	if share > 0 && len(all) == 0 {
		return []jsonpatch.Operation{jsonpatch.Add(path, []any{fresh})}
	}
	var operations []jsonpatch.Operation
	for _, m := range slices.Backward(own) {
		at := fmt.Sprintf("%s/%d", path, m.index)
		operations = append(operations, jsonpatch.Test(at, m.filter), jsonpatch.Remove(at))
	}
	if share > 0 {
		return append(operations, jsonpatch.Add(path+"/-", fresh))
	}
	if len(own) == len(all) {
		operations = append(operations, jsonpatch.Remove(path))
	}
	return operations
}

// isMirrored reports whether a rule has a mirror of the user's.
func (p Pair) isMirrored(rule map[string]any) bool {
	return slices.ContainsFunc(p.withoutMirror(list(rule, "filters")), func(item any) bool {
		filter, _ := item.(map[string]any)
		return field(filter, "type", "") == requestMirror
	})
}

// withoutMirror returns the user's filters, for a copy of the rule.
func (p Pair) withoutMirror(filters []any) []any {
	return slices.DeleteFunc(slices.Clone(filters), func(item any) bool {
		filter, _ := item.(map[string]any)
		_, isOurs := p.mirrored(filter)
		return isOurs
	})
}

// mirrorProblem returns why the rules cannot have a mirror, or nil.
func (l *layout) mirrorProblem() *Problem {
	if !l.kind.matchesHeaders {
		return newProblem(v1alpha1.ReasonMirrorNotSupported,
			"%s carries no requests that setMirrorRoute could copy: remove it from the steps, or the route from spec.traffic.routes",
			l.label)
	}
	if l.pair.Missing.MirrorFraction {
		return newProblem(v1alpha1.ReasonMirrorNotSupported,
			"%s: the installed CustomResourceDefinition of its kind has no requestMirror.fraction, so a mirror would copy every request: "+
				"install Gateway API v1.3 or newer, or remove setMirrorRoute from the steps", l.label)
	}
	for _, s := range l.sources {
		if s.rule["filters"] != nil && list(s.rule, "filters") == nil {
			return ruleProblem(s.index, v1alpha1.ReasonMirrorNotSupported, "%s has filters that cannot be read: make them a list", l.at(s.index))
		}
		if len(l.pair.withoutMirror(list(s.rule, "filters"))) >= maxFilters {
			return ruleProblem(s.index, v1alpha1.ReasonRouteLimitExceeded,
				"%s has %d filters, as many as the Gateway API allows, so there is no room for a mirror: use fewer, or remove setMirrorRoute from the steps",
				l.at(s.index), maxFilters)
		}
	}
	return nil
}
