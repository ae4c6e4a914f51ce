// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shard divides the rollouts of a cluster among several managers.
package shard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/types"
)

// Maximum is how many shards there may be.
const Maximum = 64

// Shard is one of Count parts of all rollouts. The zero value is all of them.
type Shard struct {
	// Index is from 0 to Count - 1.
	Index int
	// Count is the number of shards, up to Maximum. With 0 and 1 there is one, with all rollouts.
	Count int
}

// Parse reads a shard in the form INDEX/COUNT, where the first index is 0.
func Parse(value string) (Shard, error) {
	before, after, found := strings.Cut(value, "/")
	index, indexErr := strconv.Atoi(before)
	count, countErr := strconv.Atoi(after)
	if !found || indexErr != nil || countErr != nil || index < 0 || index >= count || count > Maximum {
		return Shard{}, fmt.Errorf("%q is no shard: it must be INDEX/COUNT, as in 0/3, with a count from 1 to %d and an index "+
			"from 0 to the count minus 1", value, Maximum)
	}
	return Shard{Index: index, Count: count}, nil
}

// IsWhole reports whether the shard has all rollouts.
func (s Shard) IsWhole() bool { return s.Count <= 1 }

// Has reports whether a rollout belongs to the shard. Each rollout belongs to one of Count shards: the one with the highest hash
// of its index and the rollout (rendezvous hashing). So a change of Count from n to n + 1 moves one rollout in n + 1. The hash must
// never change: managers of two versions have to agree.
func (s Shard) Has(rollout types.NamespacedName) bool {
	if s.IsWhole() {
		return true
	}
	own := hash(s.Index, rollout)
	for other := range s.Count {
		if other != s.Index && hash(other, rollout) >= own {
			return false
		}
	}
	return true
}

func hash(index int, rollout types.NamespacedName) uint64 {
	return xxhash.Sum64String(strconv.Itoa(index) + "/" + rollout.Namespace + "/" + rollout.Name)
}

// String returns the shard as a part of a name: 0-of-3.
func (s Shard) String() string { return fmt.Sprintf("%d-of-%d", s.Index, max(s.Count, 1)) }

const leasePrefix, leaseSuffix = "manager", ".canaryrollout.dev"

// Lease returns the name of the lease of the shard's managers. It contains the number of shards, so that managers can tell
// whether others divide the rollouts in another way.
func (s Shard) Lease() string {
	if s.IsWhole() {
		return leasePrefix + leaseSuffix
	}
	return leasePrefix + "-" + s.String() + leaseSuffix
}

// CountOf returns the number of shards of the manager that a lease is for, or 0 if it is for no manager.
func CountOf(lease string) int {
	middle, isPrefixed := strings.CutPrefix(lease, leasePrefix)
	middle, isSuffixed := strings.CutSuffix(middle, leaseSuffix)
	if !isPrefixed || !isSuffixed {
		return 0
	}
	if middle == "" {
		return 1
	}
	shard, err := Parse(strings.Replace(strings.TrimPrefix(middle, "-"), "-of-", "/", 1))
	if err != nil {
		return 0
	}
	return shard.Count
}
