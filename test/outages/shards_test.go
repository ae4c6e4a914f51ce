// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// TestShards releases six rollouts again and again while one of two managers is killed, a third shard is added, and it is removed
// again. In each change, the managers of both numbers of shards run for a while. By the audit log, no rollout is ever written
// by two managers: each write is from the manager that has the rollout, and the managers of another number of shards write
// only when those of the former one have written for the last time.
func TestShards(t *testing.T) {
	if err := env.Operator.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.StartOperator(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	s := &shards{t: t, running: map[shard.Shard]*operator.Operator{}}
	t.Cleanup(func() { s.stop(s.all()...) })
	from := time.Now()
	two := []shard.Shard{{Index: 0, Count: 2}, {Index: 1, Count: 2}}
	three := []shard.Shard{{Index: 0, Count: 3}, {Index: 1, Count: 3}, {Index: 2, Count: 3}}
	s.start(two...)
	apps := s.apps()
	release(apps, builder.ImageV2, func() {
		s.running[two[1]].Kill()
		s.start(two[1])
	})
	// Managers that take over are started before the release, which could otherwise end before they are ready.
	s.start(three...)
	release(apps, builder.ImageV3, func() {
		s.stop(two[0])
		last(t, 3*time.Second) // the managers of three shards wait for the other one
		s.stop(two[1])
	})
	s.start(two...)
	release(apps, builder.ImageV2, func() {
		for _, a := range apps {
			a.WaitFor("the beginning of the release", func(s v1alpha1.CanaryRolloutStatus) bool { return s.History[0].Images == builder.ImageV2 })
		}
		s.stop(three...)
	})
	var writes []auditv1.Event
	for _, app := range apps {
		writes = append(writes, app.Audited(from)...)
	}
	checkWriters(t, writes, []int{2, 3, 2})
}

// shards are managers of shards.
type shards struct {
	t       *testing.T
	running map[shard.Shard]*operator.Operator
}

func (s *shards) all() []shard.Shard {
	var all []shard.Shard
	for running := range s.running {
		all = append(all, running)
	}
	return all
}

// start starts the managers of some shards, each in a pod of its own.
func (s *shards) start(some ...shard.Shard) {
	s.t.Helper()
	for _, started := range some {
		name, port := "shard-"+started.String(), 10*started.Count+started.Index
		manager, err := operator.Start(context.WithoutCancel(s.t.Context()), env.Cluster, operator.Options{
			Name: name, Pod: name, ProbePort: 18000 + port, MetricsPort: 19000 + port,
			Args: []string{fmt.Sprintf("--shard=%d/%d", started.Index, started.Count), "--zap-log-level=debug"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.running[started] = manager
	}
}

// stop stops the managers of some shards, as the kubelet does.
func (s *shards) stop(some ...shard.Shard) {
	s.t.Helper()
	for _, stopped := range some {
		if err := errors.Join(s.running[stopped].Stop(), s.running[stopped].Crashed()); err != nil {
			s.t.Error(err)
		}
		delete(s.running, stopped)
	}
}

// apps returns six rollouts that are at rest. Each of two and of three shards has some of them.
func (s *shards) apps() []*harness.App {
	s.t.Helper()
	var apps []*harness.App
	for i := range 6 {
		options := harness.Options{
			Namespace: fmt.Sprintf("sharded-%d", i), Steps: []v1alpha1.Step{builder.Weight(20), builder.Weight(40), builder.Weight(60), builder.Weight(80)},
		}
		a := harness.Prepare(s.t, env, options)
		a.Create(a.Rollout(options))
		apps = append(apps, a)
	}
	for _, a := range apps {
		a.WaitForState(v1alpha1.StateHealthy)
	}
	return apps
}

// release releases an image in all apps, and calls disturb meanwhile.
func release(apps []*harness.App, image string, disturb func()) {
	for _, a := range apps {
		a.SetImage(image)
	}
	disturb()
	for _, a := range apps {
		a.WaitFor("the end of the release", func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.State == v1alpha1.StateHealthy && s.Images == image
		})
	}
}

// checkWriters checks the writes for rollouts: the managers that wrote them had these numbers of shards, one after the other, and
// each had the rollout in its shard.
func checkWriters(t *testing.T, requests []auditv1.Event, want []int) {
	t.Helper()
	slices.SortStableFunc(requests, func(a, b auditv1.Event) int {
		return a.RequestReceivedTimestamp.Compare(b.RequestReceivedTimestamp.Time)
	})
	var counts []int
	var former auditv1.Event
	writers := map[shard.Shard]int{}
	for _, request := range requests {
		if request.User.Username != cluster.OperatorUsername || request.ObjectRef.Resource == "events" || !isWrite(request.Verb) {
			continue
		}
		writer := writerOf(t, request)
		writers[writer]++
		if rollout := (types.NamespacedName{Namespace: request.ObjectRef.Namespace, Name: "reviews"}); !writer.Has(rollout) {
			t.Errorf("shard %s wrote %s of %s", writer, request.ObjectRef.Resource, rollout)
		}
		if len(counts) == 0 || counts[len(counts)-1] != writer.Count {
			counts = append(counts, writer.Count)
			if request.RequestReceivedTimestamp.Time.Before(former.StageTimestamp.Time) {
				t.Errorf("shard %s began to write while %s was not answered yet", writer, former.RequestURI)
			}
		}
		former = request
	}
	if !slices.Equal(counts, want) {
		t.Errorf("managers with these numbers of shards wrote one after the other: %v, want %v", counts, want)
	}
	if t.Logf("writes by shard: %v", writers); len(writers) != 5 {
		t.Errorf("only the shards %v wrote", writers)
	}
}

func isWrite(verb string) bool {
	return slices.Contains([]string{"create", "update", "patch", "delete"}, verb)
}

// writerOf returns the shard of the manager that sent a request.
func writerOf(t *testing.T, request auditv1.Event) shard.Shard {
	t.Helper()
	for _, count := range []int{2, 3} {
		for index := range count {
			if sender := (shard.Shard{Index: index, Count: count}); strings.HasSuffix(request.UserAgent, "/shard-"+sender.String()) {
				return sender
			}
		}
	}
	t.Fatalf("%s %s is from %s, which is no shard", request.Verb, request.RequestURI, request.UserAgent)
	return shard.Shard{}
}
