// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// TestMetricEvents: a change of a CanaryMetric reconciles the rollouts that refer to it, in all namespaces if it is shared.
func TestMetricEvents(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	var rollouts []client.Object
	for name, ref := range map[string]v1alpha1.MetricReference{
		"shop/own": {Name: "errors"}, "shop/shared": {Name: "errors", Scope: v1alpha1.MetricScopeShared}, "operator/own": {Name: "errors"},
		"books/shared": {Name: "errors", Scope: v1alpha1.MetricScopeShared}, "books/other": {Name: "latency", Scope: v1alpha1.MetricScopeShared},
	} {
		rollout := &observe.Rollout{}
		rollout.Namespace, rollout.Name, _ = strings.Cut(name, "/")
		rollout.Spec.Analysis = &v1alpha1.Analysis{Metrics: []v1alpha1.Metric{{MetricRef: &ref}}}
		rollouts = append(rollouts, rollout)
	}
	cached := fake.NewClientBuilder().WithScheme(scheme).WithObjects(rollouts...)
	for _, index := range observe.Indexes() {
		if index.Field == observe.IndexMetric {
			cached = cached.WithIndex(index.Object, index.Field, index.Values)
		}
	}
	w := watches{cached.Build(), "operator", &observe.Tracker{}}
	for metric, want := range map[string][]string{
		"shop/errors": {"shop/own"}, "operator/errors": {"books/shared", "operator/own", "shop/shared"},
		"operator/latency": {"books/other"}, "books/latency": nil,
	} {
		namespace, name, _ := strings.Cut(metric, "/")
		var got []string
		for _, request := range w.ofMetric(t.Context(), &v1alpha1.CanaryMetric{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}) {
			got = append(got, request.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
}

// TestExported: a manager that leads exports the gauges of the rollouts of its shard, and one that does not exports none.
func TestExported(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	cached := fake.NewClientBuilder().WithScheme(scheme)
	var want []string
	of := shard.Shard{Index: 1, Count: 2}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		rollout := &observe.Rollout{}
		rollout.Namespace, rollout.Name = "shop", name
		cached.WithObjects(rollout)
		if of.Has(rollout.Key()) {
			want = append(want, name)
		}
	}
	if len(want) == 0 || len(want) == 6 {
		t.Fatalf("%v are in the shard", want)
	}
	r := &Reconciler{Observer: &observe.Observer{Cache: cached.Build()}, Shard: of}
	elected := make(chan struct{})
	if got := r.exported(t.Context(), elected); len(got) > 0 {
		t.Errorf("a manager that does not lead exports %d rollouts", len(got))
	}
	close(elected)
	var got []string
	for _, rollout := range r.exported(t.Context(), elected) {
		got = append(got, rollout.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}

// TestCachedNamespaces: a manager of some namespaces also reads shared CanaryMetrics, and nothing else where they are.
func TestCachedNamespaces(t *testing.T) {
	for name, tc := range map[string]struct {
		shared           string
		namespaces       []string
		general, metrics []string
	}{
		"all":             {"operator", nil, nil, nil},
		"some":            {"operator", []string{"shop", "books"}, []string{"books", "shop"}, []string{"books", "operator", "shop"}},
		"its own":         {"shop", []string{"shop"}, []string{"shop"}, []string{"shop"}},
		"unknown its own": {"", []string{"shop"}, []string{"shop"}, []string{"shop"}},
	} {
		options := CacheOptions(NewKinds(), tc.shared, tc.namespaces...)
		var metrics []string
		for object, by := range options.ByObject {
			if _, isMetric := object.(*v1alpha1.CanaryMetric); isMetric {
				metrics = slices.Sorted(maps.Keys(by.Namespaces))
			}
		}
		if diff := cmp.Diff([][]string{tc.general, tc.metrics}, [][]string{slices.Sorted(maps.Keys(options.DefaultNamespaces)), metrics}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEchoesStartNoPass: the watch event of our own write starts no pass of the rollout that it was made for. It is news for others that
// use the same route, and whatever somebody else writes is news for all.
func TestEchoesStartNoPass(t *testing.T) {
	ours, theirs := types.NamespacedName{Namespace: "shop", Name: "ours"}, types.NamespacedName{Namespace: "shop", Name: "theirs"}
	w := watches{tracker: &observe.Tracker{}}
	w.tracker.Wrote(ours, observe.Write{Object: observe.Object{Kind: observe.RolloutKind, Name: "ours"}, ResourceVersion: "30"})
	all := w.enqueue(observe.HTTPRouteKind, func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: ours}, {NamespacedName: theirs}}
	})
	object := func(kind schema.GroupVersionKind, name, version string) client.Object {
		object := observe.New(kind)
		object.SetNamespace("shop")
		object.SetName(name)
		object.SetResourceVersion(version)
		return object
	}
	route := func(version string) client.Object { return object(observe.HTTPRouteKind, "shared", version) }
	for name, tc := range map[string]struct {
		happens func(workqueue.TypedRateLimitingInterface[reconcile.Request])
		want    []string
	}{
		"our own write": {func(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			all.Update(t.Context(), event.UpdateEvent{ObjectOld: route("10"), ObjectNew: route("20")}, queue)
		}, []string{"theirs"}},
		"the gateway's answer": {func(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			all.Update(t.Context(), event.UpdateEvent{ObjectOld: route("20"), ObjectNew: route("21")}, queue)
		}, []string{"ours", "theirs"}},
		"our own creation": {func(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			all.Create(t.Context(), event.CreateEvent{Object: route("20")}, queue)
		}, []string{"theirs"}},
		"somebody's deletion": {func(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			all.Delete(t.Context(), event.DeleteEvent{Object: route("20")}, queue)
		}, []string{"ours", "theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer queue.ShutDown()
			w.tracker.Wrote(ours, observe.Write{Object: observe.Object{Kind: observe.HTTPRouteKind, Name: "shared"}, ResourceVersion: "20"})
			tc.happens(queue)
			var got []string
			for queue.Len() > 0 {
				request, _ := queue.Get()
				got = append(got, request.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("passes (-want +got):\n%s", diff)
			}
		})
	}
	for _, tc := range []struct {
		version string
		want    int
	}{{"29", 0}, {"30", 0}, {"31", 1}} {
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		w.updated(object(observe.RolloutKind, "ours", tc.version), queue)
		if queue.Len() != tc.want {
			t.Errorf("version %s of the rollout starts %d passes, want %d", tc.version, queue.Len(), tc.want)
		}
		queue.ShutDown()
	}
}

// eager is a writer of statuses whose watch events arrive before the answer.
type eager struct {
	client.SubResourceWriter

	arrives func()
}

// Patch implements client.SubResourceWriter.
func (e eager) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	err := e.SubResourceWriter.Patch(ctx, object, patch, options...)
	e.arrives()
	return err
}

// TestEventsBeforeTheAnswer: the watch event of a write often arrives before its answer. It starts no pass for that reason. What somebody
// else writes during a pass starts one, however the pass ends.
func TestEventsBeforeTheAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		isEdited, panics bool
		want             int
	}{
		"our own write":                {want: 0},
		"somebody else's write":        {isEdited: true, want: 1},
		"somebody else's, and a panic": {isEdited: true, panics: true, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			rollout := aRollout()
			rollout.Annotations = nil
			h := newHarness(t, rollout)
			h.plan = plan.Plan{Status: withMessage("planned")}
			queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer queue.ShutDown()
			w := watches{tracker: h.Observer.Tracker}
			h.Reconciler.Status = eager{h.Reconciler.Status, func() {
				w.updated(h.stored(t), queue)
				if tc.isEdited {
					edited := h.stored(t)
					edited.Labels = map[string]string{"edited": "x"}
					if err := h.Update(t.Context(), edited); err != nil {
						t.Error(err)
					}
					w.updated(edited, queue)
				}
				if tc.panics {
					panic("a bug")
				}
			}}
			func() {
				defer func() { _ = recover() }()
				if _, err := h.reconcile(t); err != nil {
					t.Error(err)
				}
			}()
			if got := queue.Len(); got != tc.want {
				t.Errorf("%d passes follow, want %d", got, tc.want)
			}
		})
	}
}
