// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestOtherManagers: a second active manager is detected, and one that is gone is not taken for one.
func TestOtherManagers(t *testing.T) {
	type sight struct{ manager, message, want string }
	for name, sights := range map[string][]sight{
		"alone":                    {{"", "", ""}, {"self", "a", ""}, {"self", "b", ""}},
		"a predecessor":            {{"other", "a", ""}, {"other", "a", ""}, {"self", "b", ""}, {"self", "c", ""}},
		"of an older version":      {{"", "a", ""}, {"", "b", ""}, {"self", "c", ""}},
		"one that writes on":       {{"other", "a", ""}, {"other", "b", "other"}, {"other", "b", ""}, {"other", "c", "other"}},
		"one that takes over":      {{"self", "a", ""}, {"other", "a", "other"}, {"other", "a", ""}},
		"one that comes first":     {{"", "", ""}, {"other", "a", "other"}},
		"one that comes back":      {{"self", "a", ""}, {"other", "b", "other"}, {"self", "c", ""}, {"other", "d", "other"}},
		"one that another replied": {{"other", "a", ""}, {"third", "a", "third"}},
	} {
		r := &otherManagers{self: "self"}
		for i, s := range sights {
			rollout := &v1alpha1.CanaryRollout{
				ObjectMeta: metav1.ObjectMeta{Namespace: "books", Name: "reviews"},
				Status:     v1alpha1.CanaryRolloutStatus{Manager: s.manager, Message: s.message},
			}
			if got := r.observe(rollout); got != s.want {
				t.Errorf("%s: observation %d finds %q, want %q", name, i, got, s.want)
			}
		}
		r.forget(types.NamespacedName{Namespace: "books", Name: "reviews"})
		if len(r.known) != 0 {
			t.Errorf("%s: %d rollouts are remembered that have gone", name, len(r.known))
		}
	}
}
