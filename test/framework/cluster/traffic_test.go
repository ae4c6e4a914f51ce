// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// The full path of a request: route, weights, endpoints, pods of two versions; and the header stream.
func TestTrafficFollowsTheWeights(t *testing.T) {
	apply(t, workload, "weighted-v1", 2)
	apply(t, workload, "weighted-v2", 2)
	apply(t, route, "weighted", ref("weighted-v1", 80)+", "+ref("weighted-v2", 20))
	answers(t, "weighted.example.com", 50)

	traffic := load.Start(t.Context(), load.Options{
		Host: "weighted.example.com", Rate: 200,
		Streams: []load.Stream{{Name: "qa", Share: 0.1, Headers: map[string]string{"role": "qa"}}},
	})
	eventually(t, "500 answers", func() bool { return traffic.Total().Sent >= 500 })
	apply(t, route, "weighted", ref("weighted-v1", 0)+", "+ref("weighted-v2", 100))
	moved := time.Now()
	eventually(t, "all traffic moves", func() bool {
		last := traffic.Last(300 * time.Millisecond)
		return last.Sent > 20 && last.Share("v2") == 1
	})
	t.Logf("a new weight is in all traffic after %s at most", time.Since(moved).Round(10*time.Millisecond))
	traffic.Stop()

	before := traffic.Window(time.Time{}, moved.Add(-time.Second))
	if share := before.Share("v2"); share < 0.15 || share > 0.25 {
		t.Errorf("v2 had %.2f of the traffic at weight 20: %s", share, before)
	}
	total, qa := traffic.Total(), traffic.Window(time.Time{}, time.Now(), "qa")
	if part := float64(qa.Sent) / float64(total.Sent); part < 0.09 || part > 0.11 {
		t.Errorf("the stream qa had %.3f of the requests, not 0.1", part)
	}
	if total.Rate < 180 || total.Skipped > 0 {
		t.Errorf("the load was not held: %s", total)
	}
	if failures := traffic.Failures(); len(failures) > 0 {
		t.Errorf("%d lost, the first: %s; logs in %s", len(failures), failures[0], up.Dir)
	}
	t.Log(total)
}

// While endpoints are late, a failed pod stays in the gateway's list: its requests must be reported as lost.
func TestFailingPodIsSeenAsLostRequests(t *testing.T) {
	apply(t, workload, "failing-v1", 2)
	apply(t, route, "failing", ref("failing-v1", 1))
	answers(t, "failing.example.com", 50)
	traffic := load.Start(t.Context(), load.Options{
		Host: "failing.example.com", Rate: 100, AccessLog: up.AccessLog(), PodAt: pods.PodAt,
	})
	// The gateway can only lose requests to a pod it knows, and once endpoints are paused it learns of no new ones.
	answering := map[string]bool{}
	eventually(t, "both pods answer", func() bool {
		for _, result := range traffic.Results(func(r load.Result) bool { return r.Err == nil }) {
			answering[result.Pod] = true
		}
		return len(answering) == 2
	})
	victim := slices.Sorted(maps.Keys(answering))[0]
	if err := up.PauseEndpointSlices(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.ResumeEndpointSlices() }) // for the other tests, whatever happens
	failed := time.Now()
	annotate(t, victim, cluster.Fail, `"true"`)
	eventually(t, "lost requests", func() bool { return len(traffic.Failures()) > 10 })
	if err := up.ResumeEndpointSlices(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway leaves the pod out", func() bool {
		last := traffic.Last(500 * time.Millisecond)
		return last.Sent > 20 && last.Failed == 0
	})
	annotate(t, victim, cluster.Fail, "null")
	eventually(t, "the pod answers again", func() bool {
		since := time.Now().Add(-300 * time.Millisecond)
		return len(traffic.Results(func(r load.Result) bool { return r.Start.After(since) && r.Pod == victim })) > 0
	})
	traffic.Stop()
	for _, failure := range traffic.Failures() {
		if failure.Start.Before(failed.Add(-traffic.Total().Latency(1))) {
			t.Errorf("lost before the pod failed: %s", failure)
		}
		if failure.Pod != victim || failure.Status != http.StatusBadGateway {
			t.Errorf("not the failed pod %s: %s", victim, failure)
		}
	}
	t.Logf("%d of %s", len(traffic.Failures()), traffic.Total())
}

// A terminating pod with known endpoints serves until the gateway has stopped using it.
func TestScaleDownLosesNothing(t *testing.T) {
	apply(t, workload, "shrinking-v1", 4)
	apply(t, route, "shrinking", ref("shrinking-v1", 1))
	answers(t, "shrinking.example.com", 50)
	traffic := load.Start(t.Context(), load.Options{Host: "shrinking.example.com", Rate: 100})
	scale(t, "shrinking-v1", 1)
	eventually(t, "one pod", func() bool { return len(podNames(t, "shrinking-v1")) == 1 })
	traffic.Stop()
	if failures := traffic.Failures(); len(failures) > 0 {
		t.Errorf("%d lost, the first: %s; logs in %s", len(failures), failures[0], up.Dir)
	}
	t.Log(traffic.Total())
}
