// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// TestIdentity: in a pod, all processes that cannot run at the same time hold the lease by the name of the pod; elsewhere each has its
// own.
func TestIdentity(t *testing.T) {
	get := func(args ...string) string {
		holder, err := parse(t, args...).identity()
		if err != nil {
			t.Fatal(err)
		}
		return holder
	}
	t.Setenv("POD_UID", "")
	if a, b := get(), get(); a == b {
		t.Errorf("two processes outside a pod are both %s", a)
	}
	t.Setenv("POD_NAME", "manager-0")
	t.Setenv("POD_UID", "u1")
	if a, b := get(), get(); a != "manager-0_u1_8081" || a != b {
		t.Errorf("two processes of a pod are %s and %s", a, b)
	}
	for _, address := range []string{"", "0", ":0", ":8082"} {
		if a, b := get(), get("--health-probe-bind-address="+address); a == b {
			t.Errorf("two processes that listen for probes on :8081 and %q are both %s", address, a)
		}
	}
	if a, b := get("--health-probe-bind-address=0"), get("--health-probe-bind-address=0"); a == b {
		t.Errorf("two processes without probes are both %s", a)
	}
}

// TestNoLeaseNamespace: outside a pod, the namespace of the lease must be given.
func TestNoLeaseNamespace(t *testing.T) {
	if _, err := parse(t).newLock(&rest.Config{}); err == nil || !strings.Contains(err.Error(), "set --leader-election-namespace") {
		t.Errorf("without a namespace: %v", err)
	}
}

// TestLockConfig: the timeout of the lease's client is not that of all others, whose watches last for minutes.
func TestLockConfig(t *testing.T) {
	config := &rest.Config{Host: "https://example.com"}
	if _, err := parse(t, "--leader-election-namespace=operator").newLock(config); err != nil {
		t.Fatal(err)
	}
	if config.Timeout != 0 || config.UserAgent != "" {
		t.Errorf("the other clients have the timeout %s and the user agent %q", config.Timeout, config.UserAgent)
	}
}

// TestRestartedProcess: after a crash, the next process of the same pod leads at once, and that of another pod when the lease
// has expired.
func TestRestartedProcess(t *testing.T) {
	for next, want := range map[string]bool{"manager-0_u1": true, "manager-0_u2": false} {
		bubble.Test(t, func(t *testing.T) {
			leases := newLeases(0)
			start := func(holder string) (crash func(), began func() bool) {
				ctx, cancel := context.WithCancel(t.Context())
				o := parse(t, "--leader-election-namespace=operator")
				lock, err := o.newLock(&rest.Config{})
				if err != nil {
					t.Fatal(err)
				}
				lock.Client, lock.LockConfig.Identity = leases, holder
				var leads atomic.Bool
				elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
					Lock: lock, LeaseDuration: o.leaseDuration, RenewDeadline: o.renewDeadline, RetryPeriod: o.retryPeriod,
					Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads.Store(true) }, OnStoppedLeading: func() {}},
				})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					elector.Run(ctx)
				}()
				return func() { cancel(); <-ended }, func() bool { synctest.Wait(); return leads.Load() }
			}
			crash, leads := start("manager-0_u1")
			time.Sleep(2 * time.Second)
			if !leads() {
				t.Fatal("the first process does not lead")
			}
			time.Sleep(7 * time.Second)
			crash()
			stop, leads := start(next)
			defer stop()
			time.Sleep(3 * time.Second)
			if leads() != want {
				t.Errorf("%s leads after three seconds: %t, want %t", next, !want, want)
			}
			time.Sleep(20 * time.Second)
			if !leads() {
				t.Errorf("%s does not lead after the lease has expired", next)
			}
		})
	}
}
