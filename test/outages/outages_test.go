// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// last waits for a duration: in these tests, time itself is under test.
func last(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// delayEndpoints makes every change of an EndpointSlice up to five seconds late until the test ends.
func delayEndpoints(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := env.Cluster.PauseEndpointSlices(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			if err := env.Cluster.ResumeEndpointSlices(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond): // enough to catch up
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// TestLateEndpoints delays all endpoints during a full release, an abort in its promotion, and a third version.
func TestLateEndpoints(t *testing.T) {
	start := func(t *testing.T, steps ...v1alpha1.Step) *harness.App {
		t.Parallel()
		a := harness.Start(t, env, harness.Options{Steps: steps, Rate: harness.Rate / 3})
		a.SetImage(builder.ImageV2)
		return a
	}
	delayEndpoints(t)
	t.Run("endpoints", func(t *testing.T) {
		t.Run("release", func(t *testing.T) {
			a := start(t, builder.Scale(1), builder.Weight(20), builder.Pause(time.Second), builder.Weight(60))
			stable := a.Stable()
			a.CheckPromoted(stable)
			a.CheckLeft(stable)
			a.CheckLoss()
		})
		t.Run("abort", func(t *testing.T) {
			a := start(t)
			a.WaitFor("the stable Service to move", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.Memory.StableService.Revision == s.Memory.CurrentRevision && s.Memory.Phase == v1alpha1.PhasePromoting
			})
			a.CheckAborted(a.Get().Status.Canary.Revision, a.Annotate(v1alpha1.AbortAnnotation, "true"))
		})
		t.Run("supersede", func(t *testing.T) {
			a := start(t, builder.Weight(40))
			a.WaitFor("weight 40", func(s v1alpha1.CanaryRolloutStatus) bool { return s.Memory.Traffic.Weight == 40 })
			a.SetImage(builder.ImageV3)
			a.WaitFor("version 3 to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
				return s.State == v1alpha1.StateHealthy && s.Images == builder.ImageV3
			})
			a.CheckRoute()
			a.CheckLoss()
		})
	})
}

// TestSlowGateway makes the gateway apply changes only every two seconds, which is its default. It reports a change
// when it has read it, and may apply it two such periods later: settleSeconds, 5 by default, covers that. The share
// of the weight must be reached by then.
func TestSlowGateway(t *testing.T) {
	const throttle, settle = 2 * time.Second, 5 * time.Second
	if err := env.Cluster.SetThrottle(t.Context(), throttle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Cluster.SetThrottle(context.WithoutCancel(t.Context()), 200*time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	a := harness.Start(t, env, harness.Options{
		Steps:  []v1alpha1.Step{builder.Scale(1), builder.Weight(40), builder.Pause(settle + 5*time.Second)},
		Settle: settle,
	})
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	a.CheckPromoted(stable)
	a.CheckLeft(stable)
	a.CheckLoss()
	a.CheckShares()
}

// TestControlPlaneAway pauses the API server and kills etcd at 40 %, and pauses the API server in the middle of a
// promotion until the operator ends, because it has lost its lease.
func TestControlPlaneAway(t *testing.T) {
	env.Supervise(t)
	a := harness.New(t, env, builder.Scale(1), builder.Weight(40), builder.Hold())
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/3")
	if err := env.Cluster.StopAPIServer(t.Context(), 5*time.Second, nil); err != nil {
		t.Fatal(err)
	}
	if err := env.Cluster.Process(cluster.Etcd).Restart(); err != nil {
		t.Fatal(err)
	}
	if err := env.Cluster.WaitForAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	// Traefik does not retry reporting a route's status if the API server did not answer, so its report must be
	// complete.
	a.WaitFor("all traffic on the canary", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.Memory.Traffic.Weight == 100 && s.Memory.Traffic.VerifiedAt != nil
	})
	leader := env.Operator.Done()
	if err := env.Cluster.StopAPIServer(t.Context(), time.Minute, leader); err != nil {
		t.Fatal(err)
	}
	select {
	case <-leader:
	default:
		t.Error("the operator runs without its lease")
	}
	a.CheckPromoted(stable)
	a.CheckLoss()
}

// TestRestart kills the manager twice. A container that restarts in its pod holds the lease of its former process, and reacts
// within three seconds. Another pod waits until the lease has expired: the former process may still run on a node that is cut off.
func TestRestart(t *testing.T) {
	const duration = 6 * time.Second
	ctx := context.WithoutCancel(t.Context())
	if err := env.Operator.Stop(); err != nil {
		t.Fatal(err)
	}
	startIn := func(pod string) {
		t.Helper()
		var err error
		env.Operator, err = operator.Start(ctx, env.Cluster, operator.Options{Pod: pod, Args: []string{
			"--leader-election-lease-duration=" + duration.String(), "--leader-election-renew-deadline=4s", "--leader-election-retry-period=1s",
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	startIn("first")
	t.Cleanup(func() {
		if err := errors.Join(env.Operator.Stop(), env.StartOperator(ctx)); err != nil {
			t.Error(err)
		}
	})
	a := harness.New(t, env, builder.Weight(40), builder.Hold(), builder.Weight(60), builder.Hold())
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	for _, restart := range []struct{ at, pod string }{{"2/4", "first"}, {"4/4", "second"}} {
		a.WaitForPause(restart.at)
		env.Operator.Kill()
		killed := time.Now()
		a.Annotate(v1alpha1.PromoteAnnotation, "true")
		startIn(restart.pod)
		took := a.WaitFor("a reaction", func(s v1alpha1.CanaryRolloutStatus) bool { return s.State != v1alpha1.StatePaused }).Sub(killed)
		t.Logf("the manager in pod %s reacts %s after the crash", restart.pod, took)
		if isSame := restart.pod == "first"; isSame && took > 3*time.Second || !isSame && took < duration {
			t.Errorf("the manager in pod %s reacts %s after the crash of that in pod first", restart.pod, took)
		}
	}
	a.CheckPromoted(stable)
	a.CheckLoss()
}

// TestPauseEndsWhileDown lets a timed pause end while no operator is running: the next operator continues at once.
func TestPauseEndsWhileDown(t *testing.T) {
	const pause = 4 * time.Second
	a := harness.New(t, env, builder.Weight(40), builder.Pause(pause), builder.Weight(60), builder.Hold())
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	paused := a.WaitForPause("2/4")
	if err := env.Operator.Stop(); err != nil {
		t.Fatal(err)
	}
	last(t, time.Until(paused.Add(pause+time.Second)))
	started := time.Now()
	if err := env.StartOperator(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	a.WaitForPause("4/4")
	for _, moment := range a.Moments() {
		if s := moment.Status; moment.At.After(started) && s.State == v1alpha1.StatePaused && s.Step == "2/4" {
			t.Errorf("paused again: %s", s.Message)
		}
	}
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(stable)
	a.CheckLoss()
}
