// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

var (
	reviewsKey = types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}
	aService   = Object{ServiceKind, "reviews-stable"}
)

func TestTrackerLags(t *testing.T) {
	changed := Write{Object: aService, UID: "u", ResourceVersion: "100"}
	created := Write{Object: aService, UID: "u", ResourceVersion: "100", Created: true}
	deleted := Write{Object: aService, UID: "u", Deleted: true}
	for name, tc := range map[string]struct {
		write Write
		in    cached
		want  bool
	}{
		"changed, older in cache":                 {changed, cached{true, "u", "99"}, true},
		"changed, same in cache":                  {changed, cached{true, "u", "100"}, false},
		"changed, newer in cache, one digit more": {changed, cached{true, "u", "1000"}, false},
		"changed, gone from cache":                {changed, cached{}, false},
		"changed, not comparable":                 {changed, cached{true, "u", "abc"}, false},
		"created, not in cache yet":               {created, cached{}, true},
		"created, in cache":                       {created, cached{true, "u", "100"}, false},
		"created, old one of that name in cache":  {created, cached{true, "v", "50"}, true},
		"deleted, still in cache":                 {deleted, cached{true, "u", "99"}, true},
		"deleted, gone from cache":                {deleted, cached{}, false},
		"deleted, another of that name":           {deleted, cached{true, "v", "101"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			tracker.Wrote(reviewsKey, tc.write)
			if got, _ := tracker.behind(reviewsKey, aService, tc.in); got != tc.want {
				t.Errorf("behind() = %v, want %v", got, tc.want)
			}
			// A write that the cache has caught up with is no longer pending.
			if got := len(tracker.pendingNames(reviewsKey, ServiceKind)); (got == 1) != tc.want {
				t.Errorf("%d writes are pending", got)
			}
		})
	}
}

func TestTrackerKeepsRolloutsApart(t *testing.T) {
	other := types.NamespacedName{Namespace: "bookinfo", Name: "other"}
	var tracker Tracker
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100"})
	tracker.confirm(reviewsKey, "u")
	tracker.NameTaken(reviewsKey, "x")
	if lags, _ := tracker.behind(other, aService, cached{true, "u", "1"}); lags || tracker.isConfirmed(other, "u") || tracker.isTaken(other, "x") {
		t.Error("another rollout must not know")
	}
	tracker.Forget(reviewsKey)
	if lags, _ := tracker.behind(reviewsKey, aService, cached{true, "u", "1"}); lags || tracker.isConfirmed(reviewsKey, "u") || tracker.isTaken(reviewsKey, "x") {
		t.Error("a rollout that has gone must be forgotten")
	}
}
