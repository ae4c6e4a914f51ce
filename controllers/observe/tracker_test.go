// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"runtime"
	"testing"
	"weak"

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
			if got := tracker.behind(reviewsKey, aService, tc.in); (got > 0) != tc.want {
				t.Errorf("behind() = %d, want a lag: %v", got, tc.want)
			}
			// A write that the cache has caught up with is no longer pending.
			if got := tracker.behind(reviewsKey, aService, tc.in); (got > 0) != tc.want {
				t.Errorf("the second pass: behind() = %d, want a lag: %v", got, tc.want)
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
	if tracker.behind(other, aService, cached{true, "u", "1"}) > 0 || tracker.isConfirmed(other, "u") || tracker.isTaken(other, "x") {
		t.Error("another rollout must not know")
	}
	tracker.Forget(reviewsKey)
	if tracker.behind(reviewsKey, aService, cached{true, "u", "1"}) > 0 || tracker.isConfirmed(reviewsKey, "u") || tracker.isTaken(reviewsKey, "x") {
		t.Error("a rollout that has gone must be forgotten")
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

// TestDigestKeepsNoRollout: the last status of a release starts no pass, so what the digest held of the rollout before it would stay
// beside the one in the cache for as long as the rollout is at rest.
func TestDigestKeepsNoRollout(t *testing.T) {
	tracker := &Tracker{}
	var former weak.Pointer[Rollout]
	for range 2 {
		rollout := &Rollout{}
		rollout.Namespace, rollout.Name = "bookinfo", "reviews"
		rollout.Spec.Template.Raw = []byte(`{"spec":{}}`)
		if _, err := tracker.digest(rollout); err != nil {
			t.Fatal(err)
		}
		former = weak.Make(rollout)
	}
	runtime.GC()
	if former.Value() != nil {
		t.Error("a rollout that nobody uses stays in memory")
	}
	runtime.KeepAlive(tracker)
}
