// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// owner returns the index of the one shard that has a rollout.
func owner(t *testing.T, rollout types.NamespacedName, count int) int {
	t.Helper()
	owners := []int{}
	for index := range count {
		if (Shard{Index: index, Count: count}).Has(rollout) {
			owners = append(owners, index)
		}
	}
	if len(owners) != 1 {
		t.Fatalf("%s belongs to the shards %v of %d", rollout, owners, count)
	}
	return owners[0]
}

func rollouts() []types.NamespacedName {
	var all []types.NamespacedName
	for i := range 3000 {
		all = append(all, types.NamespacedName{Namespace: fmt.Sprintf("team-%d", i%30), Name: fmt.Sprintf("app-%d", i)})
	}
	return all
}

// TestShards: each rollout belongs to one shard, the shards are of about the same size, and another shard takes rollouts from the
// existing ones without moving any among them.
func TestShards(t *testing.T) {
	for count := 1; count <= 8; count++ {
		sizes, moved := make([]int, count), 0
		for _, rollout := range rollouts() {
			is, will := owner(t, rollout, count), owner(t, rollout, count+1)
			sizes[is]++
			if is != will {
				moved++
				if will != count {
					t.Errorf("%s moves from shard %d to %d of %d", rollout, is, will, count+1)
				}
			}
		}
		for index, size := range sizes {
			if even := 3000 / count; size < even*8/10 || size > even*12/10 {
				t.Errorf("shard %d of %d has %d of 3000 rollouts", index, count, size)
			}
		}
		if even := 3000 / (count + 1); moved > even*12/10 {
			t.Errorf("from %d to %d shards, %d of 3000 rollouts move", count, count+1, moved)
		}
	}
}

// TestHashIsStable: managers of two versions agree about the shard of a rollout.
func TestHashIsStable(t *testing.T) {
	var got []string
	for _, name := range []string{"reviews", "ratings", "details", "productpage", "cart", "checkout"} {
		got = append(got, fmt.Sprint(owner(t, types.NamespacedName{Namespace: "bookinfo", Name: name}, 5)))
	}
	if got, want := strings.Join(got, ""), "133304"; got != want {
		t.Errorf("the shards are %s, and were %s", got, want)
	}
}

func TestParse(t *testing.T) {
	for value, want := range map[string]Shard{"0/1": {0, 1}, "2/3": {2, 3}, "63/64": {63, 64}} {
		if got, err := Parse(value); err != nil || got != want {
			t.Errorf("%s is %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "1", "3/3", "-1/3", "0/0", "0/65", "a/3", "0/3/4", "0-of-3"} {
		if got, err := Parse(value); err == nil || !strings.Contains(err.Error(), "it must be INDEX/COUNT") {
			t.Errorf("%q is %v, %v", value, got, err)
		}
	}
}

// TestLeases: the name of a lease says how many shards its manager knows of. That of a manager without shards is the one that it
// always was.
func TestLeases(t *testing.T) {
	for shard, want := range map[Shard]string{{}: "manager.canaryrollout.dev", {0, 1}: "manager.canaryrollout.dev", {2, 10}: "manager-2-of-10.canaryrollout.dev"} {
		if got := shard.Lease(); got != want || CountOf(got) != max(shard.Count, 1) {
			t.Errorf("the lease of %s is %s, for %d shards", shard, got, CountOf(got))
		}
	}
	for _, lease := range []string{"manager", "manager-1-of-1x.canaryrollout.dev", "manager-3-of-3.canaryrollout.dev", "other.canaryrollout.dev", "manager.example.com"} {
		if got := CountOf(lease); got != 0 {
			t.Errorf("%s is the lease of a manager of %d shards", lease, got)
		}
	}
}
