// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// kindsFixture is a Kinds in a cluster that serves what the test sets.
type kindsFixture struct {
	*Kinds
	t *testing.T
	// served are kinds by version.
	served map[string][]string
	// watched are the watches that were started, removed those that were ended.
	watched, removed []string
	// refusal is the error of the next watch, silence that of discovery.
	refusal, silence error
}

func newKindsFixture(t *testing.T, served map[string][]string) *kindsFixture {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	synced := true
	f := &kindsFixture{Kinds: NewKinds(), t: t, served: served}
	f.cache = removals{&informertest.FakeInformers{Scheme: scheme, Synced: &synced}, f}
	f.discovery = f
	f.watch = func(kind schema.GroupVersionKind) error {
		f.watched = append(f.watched, kind.Version+" "+kind.Kind)
		return f.refusal
	}
	return f
}

// removals records which informers are removed.
type removals struct {
	*informertest.FakeInformers
	f *kindsFixture
}

func (r removals) RemoveInformer(ctx context.Context, object client.Object) error {
	kind := object.GetObjectKind().GroupVersionKind()
	r.f.removed = append(r.f.removed, kind.Version+" "+kind.Kind)
	return r.FakeInformers.RemoveInformer(ctx, object)
}

func (f *kindsFixture) ServerResourcesForGroupVersionWithContext(_ context.Context, groupVersion string) (*metav1.APIResourceList, error) {
	if f.silence != nil {
		return nil, f.silence
	}
	kinds, found := f.served[strings.TrimPrefix(groupVersion, observe.HTTPRouteKind.Group+"/")]
	if !found {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, groupVersion)
	}
	list := &metav1.APIResourceList{GroupVersion: groupVersion}
	for _, kind := range kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	return list, nil
}

// resolve expects a version of the kind, or an error.
func (f *kindsFixture) resolve(kind, version, message string) {
	f.t.Helper()
	got, err := f.Resolve(f.t.Context(), kind)
	if message == "" && (err != nil || got.Version != version || got.Kind != kind) {
		f.t.Errorf("%s is %s, %v; want %s", kind, got, err, version)
	}
	if message != "" && (err == nil || !strings.Contains(err.Error(), message)) {
		f.t.Errorf("%s: %v, want %q", kind, err, message)
	}
}

// TestRouteKinds: a kind of routes is watched once a rollout names it, in the preferred version that is served. One
// that is installed later is found without a restart.
func TestRouteKinds(t *testing.T) {
	f := newKindsFixture(t, map[string][]string{})
	f.resolve("HTTPRoute", "", "the cluster serves no HTTPRoute: install the Gateway API with it")
	f.served = map[string][]string{"v1alpha2": {"TCPRoute", "GRPCRoute"}, "v1": {"HTTPRoute", "GRPCRoute"}}
	f.resolve("HTTPRoute", "v1", "")
	f.resolve("TCPRoute", "v1alpha2", "")
	f.resolve("TCPRoute", "v1alpha2", "")
	f.resolve("GRPCRoute", "v1", "")
	f.resolve("TLSRoute", "", "the cluster serves no TLSRoute: install the Gateway API with it")
	f.served["v1"] = append(f.served["v1"], "TLSRoute")
	f.silence = errors.New("time-out")
	f.resolve("TLSRoute", "", "find TLSRoute among the kinds of the cluster: time-out")
	f.silence, f.refusal = nil, errors.New("the manager ends")
	f.resolve("TLSRoute", "", "watch TLSRoutes: the manager ends")
	f.refusal = nil
	f.resolve("TLSRoute", "v1", "")
	f.resolve("CanaryMetric", "", "the cluster serves no CanaryMetric: apply config/crd")
	f.served[observe.MetricKind.GroupVersion().String()] = []string{"CanaryRollout", "CanaryMetric"}
	f.resolve("CanaryMetric", "v1alpha1", "")
	if diff := cmp.Diff([]string{"v1 HTTPRoute", "v1alpha2 TCPRoute", "v1 GRPCRoute", "v1 TLSRoute", "v1 TLSRoute", "v1alpha1 CanaryMetric"}, f.watched); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}

// hanging never answers.
type hanging struct{}

func (hanging) ServerResourcesForGroupVersionWithContext(ctx context.Context, _ string) (*metav1.APIResourceList, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestHangingDiscovery: a request without an answer blocks the rollouts with that kind, and no others.
func TestHangingDiscovery(t *testing.T) {
	f := newKindsFixture(t, map[string][]string{"v1": {"HTTPRoute"}})
	f.resolve("HTTPRoute", "v1", "")
	f.discovery = hanging{}
	bubble.Test(t, func(t *testing.T) {
		go func() { _, _ = f.Resolve(t.Context(), "TCPRoute") }()
		synctest.Wait()
		f.resolve("HTTPRoute", "v1", "")
	})
}

// TestUnservedVersion: when a version is no longer served, the served one is used. The old informer would show the
// last state forever, and with it verifications of weights that were never carried.
func TestUnservedVersion(t *testing.T) {
	f := newKindsFixture(t, map[string][]string{"v1alpha2": {"TCPRoute"}, "v1": {"HTTPRoute"}})
	f.resolve("HTTPRoute", "v1", "")
	f.resolve("TCPRoute", "v1alpha2", "")
	reflector := &toolscache.Reflector{}
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "tcproutes"}, "")

	f.served = map[string][]string{"v1": {"HTTPRoute", "TCPRoute"}}
	f.watchFailed(t.Context(), reflector, errors.New("connection refused"))
	f.silence = errors.New("time-out")
	f.watchFailed(t.Context(), reflector, gone)
	f.silence = nil
	f.resolve("TCPRoute", "v1alpha2", "") // not detected yet
	f.watchFailed(t.Context(), reflector, gone)
	select {
	case lost := <-f.lost:
		if kind := lost.Object.GetObjectKind().GroupVersionKind().Kind; kind != "TCPRoute" {
			t.Errorf("%s is reported", kind)
		}
	default:
		t.Error("nothing is reported")
	}
	f.watchFailed(t.Context(), reflector, gone)
	f.resolve("TCPRoute", "v1", "")

	f.served = map[string][]string{}
	f.watchFailed(t.Context(), reflector, gone)
	f.resolve("HTTPRoute", "", "the cluster serves no HTTPRoute")
	close(f.lost)
	if diff := cmp.Diff([]string{"v1alpha2 TCPRoute"}, f.removed[:1]); diff != "" || len(f.removed) != 3 {
		t.Errorf("removed %v", f.removed)
	}
	if diff := cmp.Diff([]string{"v1 HTTPRoute", "v1alpha2 TCPRoute", "v1 TCPRoute"}, f.watched); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
}
