// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"time"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// replicaSet is the ReplicaSet of a revision, and has the revision's name.
type replicaSet struct {
	revision                  string
	desired, ready, available int32
	// grownAt is when the missing pods were requested.
	grownAt         time.Time
	minReadySeconds int32
	created         time.Time
	marks           plan.Marks
}

func (s *replicaSet) scale(to plan.ScaleReplicaSet, now time.Time) {
	if to.Replicas > s.desired {
		s.grownAt = now
	}
	s.desired, s.minReadySeconds = to.Replicas, to.MinReadySeconds
	s.ready, s.available = min(s.ready, s.desired), min(s.available, s.desired)
}

// grow makes pods ready and available once their time has passed.
func (s *replicaSet) grow(now time.Time, podReady time.Duration) {
	if ready := s.grownAt.Add(podReady); !now.Before(ready) {
		s.ready = s.desired
	}
	if available := s.grownAt.Add(podReady + s.minReady()); !now.Before(available) {
		s.available = s.desired
	}
}

// changesAt returns when the next of its pods become ready or available; zero if all are.
func (s *replicaSet) changesAt(podReady time.Duration) time.Time {
	switch {
	case s.ready < s.desired:
		return s.grownAt.Add(podReady)
	case s.available < s.desired:
		return s.grownAt.Add(podReady + s.minReady())
	default:
		return time.Time{}
	}
}

func (s *replicaSet) minReady() time.Duration { return time.Duration(s.minReadySeconds) * time.Second }

func (s *replicaSet) observed() plan.ReplicaSet {
	return plan.ReplicaSet{
		Name: s.revision, Revision: s.revision, Desired: s.desired, Replicas: s.desired, Ready: s.ready, Available: s.available,
		Current: true, MinReadySeconds: s.minReadySeconds, Created: s.created, Marks: s.marks,
	}
}
