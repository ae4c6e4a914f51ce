// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// observeMetrics reads the CanaryMetrics that the spec refers to. Each is read once, however often it is named.
func (s *observation) observeMetrics(ctx context.Context) error {
	seen := map[string]bool{}
	for _, ref := range metricRefs(&s.Spec) {
		if seen[MetricKey(ref.Scope, ref.Name)] {
			continue
		}
		seen[MetricKey(ref.Scope, ref.Name)] = true
		observed, err := s.sharedMetric(ctx, ref)
		if err != nil {
			return err
		}
		s.Observed.Metrics = append(s.Observed.Metrics, observed)
	}
	return nil
}

// metricRefs returns the references of a spec to CanaryMetrics: those of the background, then those of the steps.
func metricRefs(spec *v1alpha1.CanaryRolloutSpec) []*v1alpha1.MetricReference {
	var refs []*v1alpha1.MetricReference
	add := func(metrics []v1alpha1.Metric) {
		for i := range metrics {
			if ref := metrics[i].MetricRef; ref != nil {
				refs = append(refs, ref)
			}
		}
	}
	if spec.Analysis != nil {
		add(spec.Analysis.Metrics)
	}
	for i := range spec.Steps {
		if step := spec.Steps[i].Analysis; step != nil {
			add(step.Metrics)
		}
	}
	return refs
}

// sharedMetric reads one CanaryMetric. The cache holds all of them, and nothing here writes any, so it is never behind.
func (s *observation) sharedMetric(ctx context.Context, ref *v1alpha1.MetricReference) (plan.SharedMetric, error) {
	observed := plan.SharedMetric{Name: ref.Name, Scope: cmp.Or(ref.Scope, v1alpha1.MetricScopeNamespace)}
	missing := func(format string, args ...any) plan.SharedMetric {
		observed.Problem = &plan.Problem{Reason: v1alpha1.ReasonMetricNotFound, Message: fmt.Sprintf(format, args...)}
		return observed
	}
	if _, err := s.Kinds.Resolve(ctx, MetricKind.Kind); err != nil {
		s.observeAgain(s.now.Add(missingKindRetry))
		return missing("%s", err), ctx.Err()
	}
	namespace := s.Namespace
	if observed.Scope == v1alpha1.MetricScopeShared {
		namespace = s.SharedMetrics
	}
	if namespace == "" {
		return missing("the operator has no namespace for shared CanaryMetrics: its administrator can set one with --shared-metrics-namespace"), nil
	}
	found := &v1alpha1.CanaryMetric{}
	err := s.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, found)
	switch {
	case apierrors.IsNotFound(err):
		return missing("there is no CanaryMetric %s in namespace %s: create it, or correct metricRef", ref.Name, namespace), nil
	case err != nil:
		return observed, err
	}
	observed.Spec = &found.Spec
	return observed, nil
}

// MetricKey is the value of IndexMetric for a reference.
func MetricKey(scope v1alpha1.MetricScope, name string) string {
	return string(cmp.Or(scope, v1alpha1.MetricScopeNamespace)) + "/" + name
}

func metricKeys(object client.Object) []string {
	rollout, isRollout := object.(*Rollout)
	if !isRollout {
		return nil
	}
	var keys []string
	for _, ref := range metricRefs(&rollout.Spec) {
		keys = append(keys, MetricKey(ref.Scope, ref.Name))
	}
	return distinct(keys)
}
