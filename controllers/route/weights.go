// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// percent is the total of a pair that has its rule to itself.
	percent int64 = 100
	// maxWeight is the largest weight that the CRD allows.
	maxWeight int64 = 1_000_000
)

// weightOf reads the weight of a backendRef; the CRD's default is 1. It returns false for a value that the CRD would
// reject.
func weightOf(ref map[string]any) (int64, bool) {
	value := ref["weight"]
	if value == nil {
		return 1, true
	}
	weight, ok := integer(value)
	return weight, ok && weight >= 0 && weight <= maxWeight
}

// weighted reports whether a backend may get requests. One that cannot be read counts as if it may.
func weighted(item any) bool {
	ref, ok := item.(map[string]any)
	if !ok {
		return true
	}
	weight, ok := weightOf(ref)
	return !ok || weight > 0
}

// total returns the sum of the pair's weights: 100 if it has the rule to itself, otherwise what the user gave it, or
// 0 if that cannot be read.
func (s source) total() int64 {
	if !s.shared {
		return percent
	}
	stable, stableOK := weightOf(s.stable.ref)
	canary, canaryOK := weightOf(s.canary.ref)
	if !stableOK || !canaryOK {
		return 0
	}
	return stable + canary
}

// split returns the weights that give the canary exactly this share of the pair's total.
func (s source) split(share int32) (stable, canary int64, ok bool) {
	total := s.total()
	canary = total * int64(share) / percent
	return total - canary, canary, total*int64(share)%percent == 0
}

// share is the inverse of split: it returns the share for which these weights would be written, or plan.MixedWeight.
func (s source) share() int32 {
	stable, stableOK := weightOf(s.stable.ref)
	canary, canaryOK := weightOf(s.canary.ref)
	total := s.total()
	if !stableOK || !canaryOK || total == 0 || stable+canary != total || canary*percent%total != 0 {
		return plan.MixedWeight
	}
	return int32(canary * percent / total)
}

// weight returns the share that all managed rules agree on, or plan.MixedWeight.
func (l *layout) weight() int32 {
	weight := plan.MixedWeight
	for i, s := range l.sources {
		share := s.share()
		if i > 0 && share != weight {
			return plan.MixedWeight
		}
		weight = share
	}
	return weight
}

// Weights returns the pair's current weights, rule by rule, for messages.
func Weights(obj *unstructured.Unstructured, pair Pair) string {
	var pairs []string
	for _, s := range layoutOf(obj, pair).sources {
		pairs = append(pairs, fmt.Sprintf("%s %s and %s %s", pair.Stable, shown(s.stable.ref), pair.Canary, shown(s.canary.ref)))
	}
	return strings.Join(pairs, ", ")
}

func shown(ref map[string]any) string {
	weight, ok := weightOf(ref)
	if !ok {
		return "?"
	}
	return strconv.FormatInt(weight, 10)
}

// total returns the Total of a Reading.
func (l *layout) total() int32 {
	var divisor int64
	for _, s := range l.sources {
		if s.shared {
			divisor = gcd(divisor, s.total())
		}
	}
	return int32(divisor)
}

// tooCoarse says how to make a share possible that the rule's weights cannot express (T5).
func (l *layout) tooCoarse(s source, share int32) *Problem {
	total := s.total()
	return ruleProblem(s.index, v1alpha1.ReasonWeightNotRepresentable,
		"%s gives %s and %s a total weight of %d, of which %d percent is not a whole number: multiply all weights of that rule by %d",
		l.at(s.index), l.pair.Stable, l.pair.Canary, total, share, percent/gcd(total, percent))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
