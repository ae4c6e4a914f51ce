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
			if got := tracker.behind(reviewsKey, aService, tc.in); (got.refused > 0) != tc.want {
				t.Errorf("behind() = %+v, want a lag: %v", got, tc.want)
			}
			// A write that the cache has caught up with is no longer pending.
			if got := tracker.behind(reviewsKey, aService, tc.in); (got.refused > 0) != tc.want {
				t.Errorf("the second pass: behind() = %+v, want a lag: %v", got, tc.want)
			}
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
	if lag := tracker.behind(other, aService, cached{true, "u", "1"}); lag.refused > 0 || tracker.isConfirmed(other, "u") || tracker.isTaken(other, "x") {
		t.Error("another rollout must not know")
	}
	tracker.Forget(reviewsKey)
	if lag := tracker.behind(reviewsKey, aService, cached{true, "u", "1"}); lag.refused > 0 || tracker.isConfirmed(reviewsKey, "u") || tracker.isTaken(reviewsKey, "x") {
		t.Error("a rollout that has gone must be forgotten")
	}
}

// TestEchoes checks which watch events need no pass: those that show no more than our own write, unless a pass waits for it. A pass
// that read the cache just before such an event is not left without another one.
func TestEchoes(t *testing.T) {
	older, same := cached{true, "u", "99"}, cached{true, "u", "100"}
	for name, tc := range map[string]struct {
		awaited bool
		seen    []cached
		version string
		want    bool
	}{
		"our write":                        {version: "100", want: true},
		"our write, after a pass saw it":   {seen: []cached{same}, version: "100", want: true},
		"what our write was based on":      {version: "99", want: true},
		"somebody else's write after ours": {version: "101"},
		"one digit more":                   {version: "1000"},
		"not comparable":                   {version: "abc"},
		"awaited":                          {awaited: true, version: "100"},
		"awaited, not yet there":           {awaited: true, version: "99", want: true},
		"a pass has ended because of it":   {seen: []cached{older}, version: "100"},
	} {
		t.Run(name, func(t *testing.T) {
			var tracker Tracker
			tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100", Awaited: tc.awaited})
			for _, in := range tc.seen {
				tracker.behind(reviewsKey, aService, in)
			}
			if got := tracker.IsEcho(reviewsKey, aService, tc.version); got != tc.want {
				t.Errorf("IsEcho() = %v, want %v", got, tc.want)
			}
			other := types.NamespacedName{Namespace: "bookinfo", Name: "other"}
			if tracker.IsEcho(other, aService, tc.version) {
				t.Error("an event is news for a rollout that did not make the write")
			}
			isSkipped := tc.want && tc.version == "100"
			if got := tracker.behind(reviewsKey, aService, older); got.isOver != (isSkipped && tc.seen == nil) {
				t.Errorf("a pass that read the cache before the event: %+v", got)
			}
		})
	}
}

// TestDigest: what follows from the spec is computed once for a template, also if status and labels change, and again for another
// one. That may come without a new generation, by new defaults in the CRD.
func TestDigest(t *testing.T) {
	tracker := &Tracker{}
	of := func(template string) *specDigest {
		t.Helper()
		rollout := &Rollout{}
		rollout.Namespace, rollout.Name, rollout.Generation = "bookinfo", "reviews", 1
		rollout.Spec.Template.Raw = []byte(template)
		digest, err := tracker.digest(rollout)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	first := of(`{"spec":{}}`)
	if of(`{"spec":{}}`) != first {
		t.Error("the same template is hashed again")
	}
	if second := of(`{"spec":{"restartPolicy":"Always"}}`); second.template == first.template {
		t.Error("another template has the same hash")
	}
}
