// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

const aRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookinfo, generation: 5}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{name: reviews-stable, port: 80, weight: 90}, {name: reviews-canary, port: 80, weight: 10}]
`

// TestObserve has an idle rollout: everything is observed, and the API server is not asked.
func TestObserve(t *testing.T) {
	hash := hashOf(t)
	canary := aServiceWith(map[string]string{"app": "reviews"})
	canary.Name = "reviews-canary"
	w := newWorld(t, []client.Object{
		anApp(t, "reviews", memory(hash, "aaa", "aaa")), aReplicaSet(t, "aaa", hash, nil),
		aServiceWith(map[string]string{"app": "reviews", "pod-template-hash": "aaa"}), canary, parse(t, aRoute),
	})
	snap := w.mustObserve(t)
	stepsHash, err := revision.StepsHash(snap.Raw())
	if err != nil {
		t.Fatal(err)
	}
	replicaSet := plan.ReplicaSet{
		Name: "reviews-aaa", Revision: "aaa", Images: "reviews:v1, proxy:v9", Desired: 2, Replicas: 2, Ready: 1, Current: true,
	}
	got := snap.Observed
	observedRoute := got.Routes[0]
	got.Routes = nil
	if diff := cmp.Diff(plan.Observed{
		Template:    plan.Template{Hash: hash, Revision: "aaa", Images: "reviews:v1, proxy:v9"},
		StepsHash:   stepsHash,
		ReplicaSets: []plan.ReplicaSet{replicaSet},
		Stable:      plan.Service{Name: "reviews-stable", Found: true, Revision: "aaa"},
		Canary:      plan.Service{Name: "reviews-canary", Found: true},
		Probe:       plan.Probe{Pending: "measured"},
		Measured:    []plan.Measured{{Value: "measured"}},
		Sinks:       []plan.Sink{{Name: "of-bookinfo"}}, Delivered: []plan.Delivered{{Sink: "reviews", Sequence: 7}},
		Providers:   map[string]plan.Provider{"default": {Prometheus: true}},
		JobsAllowed: true,
	}, got); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	if r := observedRoute; !r.Found || r.Problem != nil || r.Weight != 10 || r.Generation != 5 || r.Headers != plan.HeadersNone {
		t.Errorf("route = %+v", r)
	}
	if len(snap.ReplicaSets) != 1 || len(snap.Services) != 2 || len(snap.Routes) != 1 {
		t.Errorf("raw objects: %d, %d, %d", len(snap.ReplicaSets), len(snap.Services), len(snap.Routes))
	}
	if w.reads+w.normalizer.calls > 0 {
		t.Errorf("%d live reads and %d dry runs at rest", w.reads, w.normalizer.calls)
	}
}

func TestRouteNotFound(t *testing.T) {
	w := newWorld(t, []client.Object{anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa"))})
	got := w.mustObserve(t).Observed.Routes[0]
	want := plan.Route{Kind: "HTTPRoute", Name: "reviews", Problem: &plan.Problem{
		Reason: v1alpha1.ReasonRouteNotFound, Message: "HTTPRoute reviews does not exist: create it",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}

// TestRoutesOfOtherKinds: each route is read as its kind, and a kind that the cluster does not serve is a problem of
// that route only.
func TestRoutesOfOtherKinds(t *testing.T) {
	grpcRoute := schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: "GRPCRoute"}
	rollout := anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa"))
	routes := []any{map[string]any{"kind": "TCPRoute", "name": "reviews"}, map[string]any{"kind": "GRPCRoute", "name": "reviews"}}
	if err := unstructured.SetNestedSlice(rollout.Object, routes, "spec", "traffic", "routes"); err != nil {
		t.Fatal(err)
	}
	route := parse(t, aRoute)
	route.SetGroupVersionKind(grpcRoute)
	w := newWorld(t, []client.Object{rollout, route})
	w.Kinds = served{"GRPCRoute": grpcRoute}
	got := w.mustObserve(t)
	tcp, grpc := got.Observed.Routes[0], got.Observed.Routes[1]
	if tcp.Kind != "TCPRoute" || tcp.Found || tcp.Problem.Reason != v1alpha1.ReasonRouteKindNotServed || tcp.Problem.Message != "the cluster serves no TCPRoute" {
		t.Errorf("TCPRoute = %+v, %+v", tcp, tcp.Problem)
	}
	if want := w.now.Add(missingKindRetry); !got.ObserveAgainAt.Equal(want) { // no watch reports that a kind is served
		t.Errorf("observed again at %s, want %s", got.ObserveAgainAt, want)
	}
	if grpc.Kind != "GRPCRoute" || !grpc.Found || got.Routes[Object{grpcRoute, "reviews"}] == nil {
		t.Errorf("GRPCRoute = %+v", grpc)
	}
}

func TestReplicaSetStatusOfAnOlderSpec(t *testing.T) {
	w := newWorld(t, []client.Object{
		anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")),
		aReplicaSet(t, "aaa", "", func(replicaSet *unstructured.Unstructured) { replicaSet.SetGeneration(4) }),
	})
	if got := w.mustObserve(t).Observed.ReplicaSets[0]; got.Current {
		t.Errorf("ReplicaSet = %+v, want it not to be current", got)
	}
}

// TestObserveStale covers each kind that we write.
func TestObserveStale(t *testing.T) {
	for name, write := range map[string]Write{
		"rollout":            {Object: Object{RolloutKind, "reviews"}, ResourceVersion: "2000"},
		"ReplicaSet":         {Object: Object{ReplicaSetKind, "reviews-aaa"}, ResourceVersion: "2000"},
		"created ReplicaSet": {Object: Object{ReplicaSetKind, "reviews-bbb"}, ResourceVersion: "2000", Created: true},
		"deleted ReplicaSet": {Object: Object{ReplicaSetKind, "reviews-aaa"}, UID: "uid-of-", Deleted: true},
		"Service":            {Object: aService, ResourceVersion: "2000"},
		"route":              {Object: Object{HTTPRouteKind, "reviews"}, ResourceVersion: "2000"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{
				anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")), aReplicaSet(t, "aaa", "", nil),
				aServiceWith(map[string]string{"app": "reviews"}), parse(t, aRoute),
			}
			w := newWorld(t, objects)
			w.mustObserve(t)
			w.Tracker.Wrote(reviewsKey, write)
			for range patience - 1 {
				if _, err := w.observe(t); !errors.Is(err, ErrStale) || w.reads > 0 {
					t.Fatalf("err = %v after %d live reads, want ErrStale after none", err, w.reads)
				}
			}
		})
	}
}

// TestObserveStaleForGood has a created ReplicaSet that somebody deleted before any watch could show it.
func TestObserveStaleForGood(t *testing.T) {
	w := newWorld(t, []client.Object{anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa"))})
	w.Tracker.Wrote(reviewsKey, Write{Object: Object{ReplicaSetKind, "reviews-bbb"}, ResourceVersion: "2000", Created: true})
	for range patience - 1 {
		if _, err := w.observe(t); !errors.Is(err, ErrStale) {
			t.Fatal(err)
		}
	}
	w.mustObserve(t)
	if w.reads != 1 {
		t.Errorf("%d live reads, want one", w.reads)
	}
	w.mustObserve(t)
}

// TestObserveStaleForLong has a cache that is really behind: the live read does not end the wait.
func TestObserveStaleForLong(t *testing.T) {
	created := aReplicaSet(t, "bbb", "", nil)
	w := newWorld(t, []client.Object{anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa"))}, created)
	w.Tracker.Wrote(reviewsKey, Write{Object: Object{ReplicaSetKind, "reviews-bbb"}, ResourceVersion: "999", Created: true})
	for range patience + 2 {
		if _, err := w.observe(t); !errors.Is(err, ErrStale) {
			t.Fatalf("err = %v, want ErrStale", err)
		}
	}
}

func TestConfirm(t *testing.T) {
	rollout := func(version string) *Rollout {
		return &Rollout{CanaryRollout: v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{
			Namespace: "bookinfo", Name: "reviews", UID: "uid-of-reviews", ResourceVersion: version,
		}}}
	}
	w := newWorld(t, nil, anApp(t, "reviews", ""))
	confirm := func(version string, again bool) error { return w.Confirm(t.Context(), rollout(version), again) }
	if err := confirm("1", false); !errors.Is(err, ErrStale) {
		t.Errorf("an old view: err = %v", err)
	}
	if err := confirm("999", false); err != nil {
		t.Errorf("the live view: err = %v", err)
	}
	before := w.reads
	if err := confirm("1000", false); err != nil || w.reads != before {
		t.Errorf("a process that has looked: err = %v after %d more reads", err, w.reads-before)
	}
	if err := confirm("1", true); !errors.Is(err, ErrStale) {
		t.Errorf("before pods are made: err = %v", err)
	}
	if err := w.live.Delete(t.Context(), anApp(t, "reviews", "")); err != nil {
		t.Fatal(err)
	}
	if err := confirm("999", true); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a rollout that has gone: err = %v", err)
	}
}

// TestHeaderProblemDoesNotHoldWeights has a route that can have no header rule. That matters only while header routes
// are in force, so that an abort, which ends them, can write the weights.
func TestHeaderProblemDoesNotHoldWeights(t *testing.T) {
	problem, always := &route.Problem{HeadersOnly: true}, &route.Problem{}
	for _, tc := range []struct {
		problem *route.Problem
		inForce bool
		want    bool
	}{{problem, false, true}, {problem, true, false}, {always, false, false}, {always, true, false}} {
		s := &observation{Snapshot: &Snapshot{Rollout: &Rollout{}}}
		s.Status.Memory = &v1alpha1.Memory{Traffic: v1alpha1.TrafficMemory{HeaderRoutesActive: tc.inForce}}
		if got := s.isIrrelevant(tc.problem); got != tc.want {
			t.Errorf("isIrrelevant(%v) = %v with header routes in force: %v", tc.problem, got, tc.inForce)
		}
	}
}
