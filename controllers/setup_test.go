// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
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
	w := watches{cached.Build(), "operator"}
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
