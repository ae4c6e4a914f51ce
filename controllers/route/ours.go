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
	// prefix begins the name of every header rule of every rollout.
	prefix = "canaryrollout-"
	// marker is the weight of the one backend of a header rule; the package comment says why.
	marker int64 = 997
)

// ruleNumber is how the name of a header rule ends: the header route, the number of its source among the managed
// rules, and for all but the first rule of one header route and source, which of them it is.
var ruleNumber = regexp.MustCompile(`^.+-[0-9]+(\.[0-9]+)?$`)

// ruleName names the header rule number part of one header route and source. It is a valid section name: rollout and
// header route are DNS names, and together far shorter than 253.
func (p Pair) ruleName(headerRoute string, source, part int) string {
	name := fmt.Sprintf("%s%s-%s-%d", prefix, p.Rollout, headerRoute, source)
	if part > 0 {
		name += fmt.Sprintf(".%d", part)
	}
	return name
}

// owns says whether a rule is one of ours (T7); the package comment says why no rule of a user's is.
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

// isHeaderRule says whether a rule looks like a header rule of any rollout: those of several may stand before one
// source, and none may push the others away for ever.
func isHeaderRule(item any) bool {
	rule, _ := item.(map[string]any)
	refs := list(rule, "backendRefs")
	name := field(rule, "name", "")
	return len(refs) == 1 && (strings.HasPrefix(name, prefix) || name == "" && marked(refs))
}

// marked says whether the only backend has the weight by which a header rule without a name is known.
func marked(refs []any) bool {
	ref, _ := refs[0].(map[string]any)
	weight, _ := integer(ref["weight"])
	return weight == marker
}

// equalRules compares rules of ours to fresh ones. A name is only compared where the CRD has kept it.
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
