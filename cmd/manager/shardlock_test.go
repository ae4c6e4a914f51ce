// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// pod is a pod of a shard's manager. Its container can crash and restart.
type pod struct {
	t        *testing.T
	leases   coordinationclient.LeasesGetter
	shard    string
	identity string
	cancel   context.CancelFunc
	crashed  atomic.Bool
	leads    atomic.Bool
	// suspension is how long the process is suspended before it sends its next request.
	suspension atomic.Int64
	ended      chan struct{}
}

// start starts the container.
func (p *pod) start() {
	p.t.Helper()
	o := parse(p.t, "--leader-election-namespace=operator", "--shard="+p.shard)
	if err := o.complete(); err != nil {
		p.t.Fatal(err)
	}
	lock, err := o.newLock(&rest.Config{})
	if err != nil {
		p.t.Fatal(err)
	}
	lock.Client, lock.LockConfig.Identity = p.leases, p.identity
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: crashing{lock, p}, LeaseDuration: o.leaseDuration, RenewDeadline: o.renewDeadline, RetryPeriod: o.retryPeriod, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { p.leads.Store(ctx.Err() == nil) }, OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(p.t.Context())
	p.crashed.Store(false)
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		elector.Run(ctx)
	}()
}

// end ends the container: by SIGTERM, which ends its work before it releases the lease, or by SIGKILL.
func (p *pod) end(isCrash bool) {
	synctest.Wait()
	p.crashed.Store(isCrash)
	p.leads.Store(false)
	p.cancel()
	<-p.ended
	synctest.Wait()
}

// crashing is a lock that a crashed process cannot write, and that a suspended one writes when it goes on.
type crashing struct {
	*shardLock
	*pod
}

func (c crashing) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	time.Sleep(time.Duration(c.suspension.Swap(0)))
	if c.crashed.Load() {
		return context.Canceled
	}
	return c.shardLock.Update(ctx, record)
}

// leases are the leases of an API server that takes up to 300 ms before and after each request, so that the requests of two
// processes cross each other in every way.
type leases struct {
	coordinationclient.LeaseInterface

	mu      sync.Mutex
	random  *rand.Rand
	version int
	stored  map[string]coordinationv1.Lease
}

func newLeases(seed uint64) *leases {
	return &leases{random: rand.New(rand.NewPCG(seed, 2)), stored: map[string]coordinationv1.Lease{}}
}

func (l *leases) Leases(string) coordinationclient.LeaseInterface { return l }

// during calls a function in the middle of a request.
func (l *leases) during(f func()) {
	l.wait()
	l.mu.Lock()
	f()
	l.mu.Unlock()
	l.wait()
}

func (l *leases) wait() {
	l.mu.Lock()
	latency := time.Duration(l.random.IntN(300)) * time.Millisecond
	l.mu.Unlock()
	time.Sleep(latency)
}

func (l *leases) Get(_ context.Context, name string, _ metav1.GetOptions) (lease *coordinationv1.Lease, err error) {
	l.during(func() {
		if stored, found := l.stored[name]; found {
			lease = stored.DeepCopy()
		} else {
			err = apierrors.NewNotFound(coordinationv1.Resource("leases"), name)
		}
	})
	return lease, err
}

func (l *leases) List(context.Context, metav1.ListOptions) (list *coordinationv1.LeaseList, err error) {
	list = &coordinationv1.LeaseList{}
	l.during(func() {
		for _, lease := range l.stored {
			list.Items = append(list.Items, *lease.DeepCopy())
		}
	})
	return list, nil
}

func (l *leases) Create(ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return l.Update(ctx, lease, metav1.UpdateOptions{})
}

func (l *leases) Update(_ context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions) (written *coordinationv1.Lease, err error) {
	l.during(func() {
		if l.stored[lease.Name].ResourceVersion != lease.ResourceVersion {
			err = apierrors.NewConflict(coordinationv1.Resource("leases"), lease.Name, nil)
			return
		}
		l.version++
		written = lease.DeepCopy()
		written.ResourceVersion = strconv.Itoa(l.version)
		l.stored[lease.Name] = *written.DeepCopy()
	})
	return written, err
}

// TestOneNumberOfShards starts, stops and kills managers of 1, 2 and 3 shards at random times, in the same pod and in others: no
// two of different numbers ever lead at the same time. When those of one number are left alone, all of them lead.
func TestOneNumberOfShards(t *testing.T) {
	for seed := range uint64(40) {
		bubble.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			leases := newLeases(seed)
			pods := map[int][]*pod{}
			for count := 1; count <= 3; count++ {
				for index := range count {
					shard := fmt.Sprintf("%d/%d", index, count)
					pods[count] = append(pods[count], &pod{t: t, leases: leases, shard: shard, identity: "pod 0 of " + shard})
				}
			}
			running := map[*pod]bool{}
			for range 60 {
				if t.Failed() {
					break
				}
				some := pods[1+random.IntN(3)]
				p := some[random.IntN(len(some))]
				if running[p] {
					p.end(random.IntN(2) == 0)
				} else {
					p.identity = fmt.Sprintf("pod %d of %s", random.IntN(2), p.shard)
					p.start()
				}
				running[p] = !running[p]
				for range 1 + random.IntN(40) {
					time.Sleep(200 * time.Millisecond)
					synctest.Wait()
					checkOneNumber(t, seed, pods)
				}
			}
			left := 1 + random.IntN(3)
			for count, some := range pods {
				for _, p := range some {
					if should := count == left; running[p] && !should {
						p.end(true)
					} else if should && !running[p] {
						p.start()
					}
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, p := range pods[left] {
				if !p.leads.Load() {
					t.Errorf("seed %d: shard %s does not lead, although no other number of shards is left", seed, p.shard)
				}
				p.end(false)
			}
		})
	}
}

func checkOneNumber(t *testing.T, seed uint64, pods map[int][]*pod) {
	t.Helper()
	var leading []int
	for count, some := range pods {
		if slices.ContainsFunc(some, func(p *pod) bool { return p.leads.Load() }) {
			leading = append(leading, count)
		}
	}
	if len(leading) > 1 {
		t.Errorf("seed %d: managers of %v shards lead at the same time", seed, leading)
	}
}

// TestSuspendedManager: a manager that did not run while its lease expired, because its machine was suspended, does not continue beside the
// managers of another number of shards that have taken over. It ends within its renew deadline.
func TestSuspendedManager(t *testing.T) {
	for seed := range uint64(10) {
		bubble.Test(t, func(t *testing.T) {
			leases := newLeases(seed)
			former := &pod{t: t, leases: leases, shard: "0/2", identity: "former"}
			next := &pod{t: t, leases: leases, shard: "0/3", identity: "next"}
			leads := func(p *pod) bool { synctest.Wait(); return p.leads.Load() }
			former.start()
			time.Sleep(5 * time.Second)
			if !leads(former) {
				t.Fatal("the first manager does not lead")
			}
			former.suspension.Store(int64(time.Minute))
			next.start()
			time.Sleep(30 * time.Second)
			if !leads(next) {
				t.Fatal("the other manager does not lead although the lease has expired")
			}
			time.Sleep(time.Minute)
			select {
			case <-former.ended:
			default:
				t.Errorf("seed %d: the suspended manager goes on, and another one with another number of shards leads: %t", seed, leads(next))
				former.end(false)
			}
			next.end(false)
		})
	}
}
