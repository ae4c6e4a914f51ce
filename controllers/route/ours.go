// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
)

const (
	// prefix starts the name of every header rule of every rollout.
	prefix = "canaryrollout-"
	// marker is the weight of the only backend of a header rule; the package comment says why.
	marker int64 = 997
)

// ruleNumber matches the end of a header rule's name: the header route, the number of its source among the managed
// rules, and, except for the first rule of a header route and source, the number of the rule.
var ruleNumber = regexp.MustCompile(`^.+-[0-9]+(\.[0-9]+)?$`)

// ruleName returns the name of rule number part of a header route and source. It is a valid section name: rollout and
// header route are DNS names, and together far shorter than 253.
func (p Pair) ruleName(headerRoute string, source, part int) string {
	name := fmt.Sprintf("%s%s-%s-%d", prefix, p.Rollout, headerRoute, source)
	if part > 0 {
		name += fmt.Sprintf(".%d", part)
	}
	return name
}

// owns reports whether a rule is ours (T7); the package comment says why no rule of a user's is.
func (p Pair) owns(rule map[string]any) bool {
	refs := list(rule, "backendRefs")
	if len(refs) != 1 || len(p.usesOf(refs).canary) != 1 {
		return false
	}
	name := field(rule, "name", "")
	if name == "" {
		return marked(refs)
	}
	rest, ok := strings.CutPrefix(name, prefix+p.Rollout+"-")
	return ok && ruleNumber.MatchString(rest)
}

// isHeaderRule reports whether a rule looks like a header rule of any rollout. Rules of several rollouts may be
// before one source, and none may keep pushing the others away.
func isHeaderRule(item any) bool {
	rule, _ := item.(map[string]any)
	refs := list(rule, "backendRefs")
	name := field(rule, "name", "")
	return len(refs) == 1 && (strings.HasPrefix(name, prefix) || name == "" && marked(refs))
}

// marked reports whether the only backend has the weight that identifies a header rule without a name.
func marked(refs []any) bool {
	ref, _ := refs[0].(map[string]any)
	weight, _ := integer(ref["weight"])
	return weight == marker
}

// equalRules compares rules of ours to fresh ones. Names are compared only if the CRD has kept them.
func equalRules(present, fresh []any) bool {
	if len(present) != len(fresh) {
		return false
	}
	for i := range present {
		was, _ := present[i].(map[string]any)
		is, _ := fresh[i].(map[string]any)
		if was["name"] == nil {
			is = without(is, "name")
		}
		if !equality.Semantic.DeepEqual(was, is) {
			return false
		}
	}
	return true
}
