// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// anAnalyzedApp returns a rollout that refers to CanaryMetrics in the background and in two steps.
func anAnalyzedApp(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	app := anApp(t, "reviews", "")
	fields := map[string]any{}
	if err := yaml.Unmarshal([]byte(`
analysis: {metrics: [{name: errors, metricRef: {name: errors, scope: Shared}}, {name: own, threshold: {query: a, min: "1"}}]}
steps:
- setWeight: 10
- analysis: {duration: 5m, metrics: [{name: errors, metricRef: {name: errors}}, {name: again, metricRef: {name: errors, scope: Namespace}}]}
- analysis: {duration: 5m, metrics: [{name: latency, metricRef: {name: latency, scope: Shared}}]}`), &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		if err := unstructured.SetNestedField(app.Object, value, "spec", name); err != nil {
			t.Fatal(err)
		}
	}
	return app
}

func aMetric(namespace, name, query string) client.Object {
	return &v1alpha1.CanaryMetric{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.CanaryMetricSpec{MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{Query: query, Min: "1"}}},
	}
}

// TestMetrics: each CanaryMetric comes from the namespace that its scope means, and is read once. One that is missing has a
// problem that says where it was looked for.
func TestMetrics(t *testing.T) {
	own, shared, other := aMetric("bookinfo", "errors", "own"), aMetric("operator", "errors", "shared"), aMetric("bookinfo", "latency", "other")
	for name, tc := range map[string]struct {
		change func(*world)
		want   map[string]string // the query, or the message of the problem
		again  bool
	}{
		"all is set up": {func(*world) {}, map[string]string{
			"Shared/errors": "shared", "Namespace/errors": "own",
			"Shared/latency": "there is no CanaryMetric latency in namespace operator: create it, or correct metricRef",
		}, false},
		"no namespace for shared ones": {func(w *world) { w.SharedMetrics = "" }, map[string]string{
			"Shared/errors":    "the operator has no namespace for shared CanaryMetrics: its administrator can set one with --shared-metrics-namespace",
			"Shared/latency":   "the operator has no namespace for shared CanaryMetrics: its administrator can set one with --shared-metrics-namespace",
			"Namespace/errors": "own",
		}, false},
		"not served": {func(w *world) { w.Kinds = served{"HTTPRoute": HTTPRouteKind} }, map[string]string{
			"Shared/errors": "the cluster serves no CanaryMetric", "Shared/latency": "the cluster serves no CanaryMetric",
			"Namespace/errors": "the cluster serves no CanaryMetric",
		}, true},
	} {
		w := newWorld(t, []client.Object{anAnalyzedApp(t), own, shared, other})
		w.SharedMetrics = "operator"
		tc.change(w)
		snap := w.mustObserve(t)
		got := map[string]string{}
		for _, metric := range snap.Observed.Metrics {
			key := MetricKey(metric.Scope, metric.Name)
			if _, isRead := got[key]; isRead {
				t.Errorf("%s: %s is there twice", name, key)
			}
			switch {
			case metric.Spec != nil:
				got[key] = metric.Spec.Threshold.Query
			case metric.Problem != nil && metric.Problem.Reason == v1alpha1.ReasonMetricNotFound:
				got[key] = metric.Problem.Message
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if again := !snap.ObserveAgainAt.IsZero(); again != tc.again {
			t.Errorf("%s: observed again: %t", name, again)
		}
	}
}

// TestMetricIndex: a change of a CanaryMetric finds the rollouts that refer to it, whatever else their specs contain.
func TestMetricIndex(t *testing.T) {
	app := anAnalyzedApp(t)
	want := []string{"Namespace/errors", "Shared/errors", "Shared/latency"}
	if diff := cmp.Diff(want, metricKeys(typed(t, app))); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	for _, spec := range []any{nil, "a", map[string]any{"analysis": "a", "steps": "b"}, map[string]any{
		"analysis": map[string]any{"metrics": []any{"a", map[string]any{"metricRef": "b"}}}, "steps": []any{"a", map[string]any{"analysis": []any{}}},
	}} {
		app.Object["spec"] = spec
		if keys := metricKeys(typed(t, app)); len(keys) > 0 {
			t.Errorf("%v is indexed by %v", spec, keys)
		}
	}
}
