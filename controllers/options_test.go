// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// TestReconcileTimeouts: a request that is never answered ends its pass in time and with an error, so that it is
// retried. What the pass decided is remembered if the status can be written, and a dry run does not hold up a release
// in flight.
func TestReconcileTimeouts(t *testing.T) {
	for hangs, tc := range map[string]struct {
		took     time.Duration
		requests string
		message  string
	}{
		"create":  {actionsTimeout, "dry run, get, create, status", "planned"},
		"dry run": {dryRunTimeout, "dry run, get, create, status", "planned"},
		"status":  {reconciliationTimeout, "dry run, get, create, status", ""},
	} {
		t.Run(hangs, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := newHarness(t, aRollout())
				h.hang = map[string]bool{hangs: true}
				h.plan = plan.Plan{
					Actions: []plan.Action{plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h"}}, Status: withMessage("planned"),
				}
				ctx, cancel := context.WithTimeout(t.Context(), controllerOptions(1, shard.Shard{}).ReconciliationTimeout)
				defer cancel()
				began := time.Now()
				_, err := h.Reconcile(ctx, ctrl.Request{NamespacedName: key})
				if took := time.Since(began); took != tc.took || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("took %s, %v; want %s and an error", took, err, tc.took)
				}
				if got := strings.Join(h.requests, ", "); got != tc.requests {
					t.Errorf("requests = %s, want %s", got, tc.requests)
				}
				if got := h.stored(t).Status.Message; got != tc.message {
					t.Errorf("message = %q, want %q", got, tc.message)
				}
			})
		})
	}
}

// TestDefaultConcurrency: the number of workers grows with the CPUs, and is enough for 20 rollouts that hang (see TestManyHang).
func TestDefaultConcurrency(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for cpus, want := range map[int]int{1: 10, 2: 10, 8: 32} {
		runtime.GOMAXPROCS(cpus)
		if got := DefaultConcurrency(); got != want {
			t.Errorf("%d workers with %d CPUs, want %d", got, cpus, want)
		}
	}
}

// TestManyHang: 20 rollouts whose writes are never answered do not stop another one, which has an event every second.
func TestManyHang(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		asked, longest := time.Time{}, time.Duration(0)
		var mu sync.Mutex
		options := controllerOptions(minimumWorkers, shard.Shard{})
		options.SkipNameValidation = ptr.To(true)
		options.Reconciler = reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
			if req.Name != "well" {
				writes, cancel := context.WithTimeout(ctx, actionsTimeout)
				defer cancel()
				<-writes.Done()
				return outcome(ctx, writes.Err())
			}
			mu.Lock()
			defer mu.Unlock()
			if !asked.IsZero() {
				longest = max(longest, time.Since(asked))
			}
			asked = time.Time{}
			return ctrl.Result{}, nil
		})
		c, err := controller.NewUnmanaged("hanging", options)
		if err != nil {
			t.Fatal(err)
		}
		events := make(chan event.GenericEvent)
		if err := c.Watch(source.Channel(events, &handler.EnqueueRequestForObject{})); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- c.Start(ctx) }()
		send := func(name string) {
			rollout := aRollout()
			rollout.Name = name
			events <- event.GenericEvent{Object: rollout}
		}
		for i := range 20 {
			send(fmt.Sprintf("hanging-%d", i))
		}
		for range 600 {
			mu.Lock()
			if asked.IsZero() {
				asked = time.Now()
			}
			mu.Unlock()
			send("well")
			time.Sleep(time.Second)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if longest == 0 || longest > actionsTimeout*2 {
			t.Errorf("a rollout that is well waited for %s", longest)
		}
	})
}
