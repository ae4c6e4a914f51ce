// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// judged returns whether a watch event starts a pass of a rollout.
func judged(tracker *Tracker, rollout types.NamespacedName, version string) (starts bool) {
	tracker.Judge(rollout, aService, version, func() { starts = true })
	return starts
}

// TestEchoes checks which watch events start a pass: those that show more than our own write, and those that a pass waits for.
func TestEchoes(t *testing.T) {
	older, same := cached{true, "u", "99"}, cached{true, "u", "100"}
	for name, tc := range map[string]struct {
		write   Write
		seen    []cached
		version string
		want    bool
	}{
		"our write":                        {version: "100"},
		"our write, after a pass saw it":   {seen: []cached{same}, version: "100"},
		"what our write was based on":      {version: "99"},
		"somebody else's write after ours": {version: "101", want: true},
		"one digit more":                   {version: "1000", want: true},
		"not comparable":                   {version: "abc", want: true},
		"awaited":                          {write: Write{Awaited: true}, version: "100", want: true},
		"awaited, not yet there":           {write: Write{Awaited: true}, version: "99"},
		"a pass has ended because of it":   {seen: []cached{older}, version: "100", want: true},
		"between our read and our write":   {write: Write{Since: "97"}, version: "98", want: true},
		"what our read has seen":           {write: Write{Since: "97"}, version: "97"},
		"what our read has seen before":    {write: Write{Since: "97"}, version: "96"},
	} {
		t.Run(name, func(t *testing.T) {
			tracker, write := &Tracker{}, tc.write
			write.Object, write.UID, write.ResourceVersion = aService, "u", "100"
			tracker.Wrote(reviewsKey, write)
			for _, in := range tc.seen {
				tracker.behind(reviewsKey, aService, in)
			}
			if got := judged(tracker, reviewsKey, tc.version); got != tc.want {
				t.Errorf("it starts a pass: %v, want %v", got, tc.want)
			}
			if !judged(tracker, types.NamespacedName{Namespace: "bookinfo", Name: "other"}, tc.version) {
				t.Error("an event is news for a rollout that did not make the write")
			}
		})
	}
}

// TestEventsDuringAPass: an event that arrives during a pass is judged when the pass has ended, because it may show a write whose
// answer has not arrived yet. None is lost, and the order stays.
func TestEventsDuringAPass(t *testing.T) {
	tracker := &Tracker{}
	var got []string
	arrives := func(rollout types.NamespacedName, version string) {
		tracker.Judge(rollout, aService, version, func() { got = append(got, rollout.Name+" "+version) })
	}
	other := types.NamespacedName{Namespace: "bookinfo", Name: "other"}
	tracker.Begin(reviewsKey)
	for _, version := range []string{"99", "100", "101", "102"} {
		arrives(reviewsKey, version)
		arrives(other, version)
	}
	if diff := cmp.Diff([]string{"other 99", "other 100", "other 101", "other 102"}, got); diff != "" {
		t.Errorf("during a pass (-want +got):\n%s", diff)
	}
	got = nil
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100"}) // the answer
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "101"}) // a second write of the same pass
	tracker.End(reviewsKey)
	arrives(reviewsKey, "103")
	if diff := cmp.Diff([]string{"reviews 102", "reviews 103"}, got); diff != "" {
		t.Errorf("after the pass (-want +got):\n%s", diff)
	}
}

// TestEventForAStalePass: a pass that has read the cache before the event of our own write gets another pass, and one that begins
// after the event needs none.
func TestEventForAStalePass(t *testing.T) {
	tracker, starts := &Tracker{}, 0
	arrives := func() { tracker.Judge(reviewsKey, aService, "100", func() { starts++ }) }
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100"})
	tracker.Begin(reviewsKey)
	arrives()
	if tracker.behind(reviewsKey, aService, cached{true, "u", "99"}) == 0 {
		t.Fatal("the cache is not behind")
	}
	if starts > 0 {
		t.Error("a pass begins while another one is in progress")
	}
	tracker.End(reviewsKey)
	if starts != 1 {
		t.Errorf("%d passes follow a stale one", starts)
	}
}

// TestForgottenRollout: a pass that finds that its rollout has gone loses no event for another one of that name.
func TestForgottenRollout(t *testing.T) {
	tracker, starts := &Tracker{}, 0
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100"})
	tracker.Begin(reviewsKey)
	tracker.Judge(reviewsKey, aService, "100", func() { starts++ })
	tracker.Forget(reviewsKey)
	tracker.End(reviewsKey)
	if starts != 1 {
		t.Errorf("%d passes", starts)
	}
}

// TestWritesAreForgotten: once the cache shows a write, nothing of it stays. Otherwise every later event would be compared with it:
// the list of a new informer, which shows the same version, and each change after etcd was restored to an older revision.
func TestWritesAreForgotten(t *testing.T) {
	for name, version := range map[string]string{"by its own event": "100", "by a later one": "101"} {
		tracker := &Tracker{}
		tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100"})
		judged(tracker, reviewsKey, version)
		if got := len(tracker.rollouts[reviewsKey].writes); got > 0 {
			t.Errorf("%s: %d writes are remembered", name, got)
		}
		if !judged(tracker, reviewsKey, "100") || !judged(tracker, reviewsKey, "50") {
			t.Errorf("%s: an older write hides what the cluster shows now", name)
		}
	}
	tracker := &Tracker{}
	tracker.Wrote(reviewsKey, Write{Object: aService, UID: "u", ResourceVersion: "100", Deleted: true})
	judged(tracker, reviewsKey, "100")
	if tracker.behind(reviewsKey, aService, cached{true, "u", "100"}) == 0 {
		t.Error("an object that we have deleted counts as there")
	}
}
