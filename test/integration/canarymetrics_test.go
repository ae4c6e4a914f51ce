// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// TestMissingCanaryMetric: a release whose CanaryMetric is missing does not start, and says so. When the metric is created, here
// as a shared one in the namespace of the operator, the next problem is seen at once: the watch reaches the rollout.
func TestMissingCanaryMetric(t *testing.T) {
	a := parallel(t)
	stalled := func(reason, message string) {
		a.waitFor(reason, func(r *v1alpha1.CanaryRollout) bool { return conditionsOf(r)["Stalled"] == "True "+reason })
		a.waitForEvent("Warning", reason, message)
	}
	made := a.make().Steps(builder.Weight(10), builder.Hold()).Obj()
	made.Spec.Analysis = &v1alpha1.Analysis{Metrics: []v1alpha1.Metric{
		{Name: "errors", MetricRef: &v1alpha1.MetricReference{Name: a.namespace, Scope: v1alpha1.MetricScopeShared}},
	}}
	a.create(made)
	a.wrote(made)
	a.waitForState(v1alpha1.StateHealthy)
	stable := a.rollout().Status.Revision

	a.setImage(builder.ImageV2)
	stalled(v1alpha1.ReasonMetricNotFound,
		"metric errors cannot be measured: there is no CanaryMetric "+a.namespace+" in namespace "+cluster.OperatorNamespace)
	a.checkTraffic("100/0")
	a.checkSelects("reviews-canary", stable)

	metric := &v1alpha1.CanaryMetric{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.OperatorNamespace, Name: a.namespace},
		Spec: v1alpha1.CanaryMetricSpec{MetricSource: v1alpha1.MetricSource{Threshold: &v1alpha1.Threshold{
			Query: `a{service="{{service}}"}`, Max: "1",
		}}},
	}
	if err := env.Admin.Create(t.Context(), metric); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Admin.Delete(context.WithoutCancel(t.Context()), metric); err != nil {
			t.Error(err)
		}
	})
	stalled(v1alpha1.ReasonProviderNotFound, "the operator has no provider default")
	a.patch(`{"spec":{"analysis":null}}`)
	a.waitForStep(v1alpha1.StatePaused, "2/2")
}
