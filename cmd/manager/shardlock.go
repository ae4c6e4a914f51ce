// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// shardLock is the lease of the managers of one shard. One of them leads only while no manager leads that divides the rollouts
// into another number of shards: both would take some rollouts for their own.
//
// It looks for the leases of such managers before it acquires its own, so that it does not disturb those that lead, and once more
// when it has acquired its own. The second look makes it safe. If two managers with different numbers both led, each would
// have acquired its lease after the other had looked, but each looks after it has acquired its own.
//
// Nobody else acquires the lease of a manager that did not run for so long that its lease has expired. If nothing else happened, it
// would find its lease unchanged, and continue. So a manager that finds an expired lease releases it first.
type shardLock struct {
	*resourcelock.LeaseLock

	shard shard.Shard
	// leads is set while the lease is held: once it was acquired, until it is found released.
	leads bool
	// others are the leases of managers with another number of shards, as they were first seen in that state.
	others map[string]sight
}

// sight is a lease and when it was first seen like this, by the clock of this process: those of others may differ.
type sight struct {
	spec  coordinationv1.LeaseSpec
	since time.Time
}

// Get implements resourcelock.Interface.
func (l *shardLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.LeaseLock.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.leads = false
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *shardLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.acquire(ctx, record, l.LeaseLock.Create)
}

// Update implements resourcelock.Interface.
func (l *shardLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if isRelease := record.HolderIdentity == ""; l.leads || isRelease {
		return l.LeaseLock.Update(ctx, record)
	}
	return l.acquire(ctx, record, l.LeaseLock.Update)
}

func (l *shardLock) acquire(ctx context.Context, record resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	if err := l.checkOthers(ctx); err != nil {
		return err
	}
	if err := write(ctx, record); err != nil {
		return err
	}
	if err := l.checkOthers(ctx); err != nil {
		record.HolderIdentity, record.LeaseDurationSeconds = "", 1
		return errors.Join(err, l.LeaseLock.Update(ctx, record))
	}
	l.leads = true
	return nil
}

// checkOthers returns an error if a manager with another number of shards may lead: its lease is held, and has been renewed within
// its duration. The leader election tries again after its retry period.
func (l *shardLock) checkOthers(ctx context.Context) error {
	leases, err := l.Client.Leases(l.LeaseMeta.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("find out whether managers with another number of shards work: %w", err)
	}
	now, seen := time.Now(), map[string]sight{}
	for _, lease := range leases.Items {
		count := shard.CountOf(lease.Name)
		if count == 0 || count == max(l.shard.Count, 1) || ptr.Deref(lease.Spec.HolderIdentity, "") == "" {
			continue
		}
		before, wasSeen := l.others[lease.Name]
		if !wasSeen || !equality.Semantic.DeepEqual(before.spec, lease.Spec) {
			before = sight{spec: lease.Spec, since: now}
		}
		seen[lease.Name] = before
		if now.Sub(before.since) <= time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0))*time.Second {
			err = fmt.Errorf("this manager has shard %s, and waits until %s, which has one of %d shards, has released the lease %s: "+
				"if that lasts, remove one of them", l.shard, *lease.Spec.HolderIdentity, count, lease.Name)
		} else if releaseErr := l.releaseExpired(ctx, &lease); releaseErr != nil {
			err = releaseErr
		}
	}
	l.others = seen
	return err
}

// releaseExpired releases the lease of another manager, unless that has renewed it in the meantime.
func (l *shardLock) releaseExpired(ctx context.Context, lease *coordinationv1.Lease) error {
	released := lease.DeepCopy()
	released.Spec.HolderIdentity, released.Spec.LeaseDurationSeconds = ptr.To(""), ptr.To[int32](1)
	if _, err := l.Client.Leases(lease.Namespace).Update(ctx, released, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("release the expired lease %s of %s, which has one of another number of shards: %w",
			lease.Name, *lease.Spec.HolderIdentity, err)
	}
	return nil
}
