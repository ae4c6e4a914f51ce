// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/config/crd"
)

// TestDefaults: the planner, the plugin and the API server assume the same values for fields that are not set. A marker
// cannot refer to a constant, so each number is written twice.
func TestDefaults(t *testing.T) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.Rollouts, &definition); err != nil {
		t.Fatal(err)
	}
	spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	traffic := spec.Properties["traffic"]
	if maximum := spec.Properties["revisionHistoryLimit"].Maximum; maximum == nil || int32(*maximum) != v1alpha1.MaxRevisionHistoryLimit {
		t.Errorf("the maximum of revisionHistoryLimit is %v in the CRD, and %d in the API", maximum, v1alpha1.MaxRevisionHistoryLimit)
	}
	analysis := spec.Properties["analysis"].Properties["metrics"].Items.Schema
	gate := spec.Properties["steps"].Items.Schema.Properties["analysis"]
	compare, threshold, web := analysis.Properties["compare"], analysis.Properties["threshold"], analysis.Properties["web"]
	for _, field := range []struct {
		name   string
		schema apiextensionsv1.JSONSchemaProps
		want   any
	}{
		{"revisionHistoryLimit", spec, v1alpha1.DefaultRevisionHistoryLimit},
		{"progressDeadlineSeconds", spec, v1alpha1.DefaultProgressDeadlineSeconds},
		{"scaleDownDelaySeconds", spec, v1alpha1.DefaultScaleDownDelaySeconds},
		{"settleSeconds", traffic, v1alpha1.DefaultSettleSeconds},
		{"verifyTimeoutSeconds", traffic, v1alpha1.DefaultVerifyTimeoutSeconds},
		{"provider", compare, v1alpha1.DefaultProvider},
		{"falseAlarm", compare, v1alpha1.DefaultFalseAlarm},
		{"clusterSize", compare, v1alpha1.DefaultClusterSize},
		{"interval", compare, metav1.Duration{Duration: v1alpha1.DefaultComparisonInterval}},
		{"relative", compare.Properties["tolerance"], v1alpha1.DefaultRelativeTolerance},
		{"absolute", compare.Properties["tolerance"], v1alpha1.DefaultAbsoluteTolerance},
		{"provider", threshold, v1alpha1.DefaultProvider},
		{"window", threshold, metav1.Duration{Duration: v1alpha1.DefaultMetricWindow}},
		{"interval", threshold, metav1.Duration{Duration: v1alpha1.DefaultMetricInterval}},
		{"count", threshold, v1alpha1.DefaultMetricCount},
		{"failureLimit", threshold, 0},
		{"consecutiveErrorLimit", threshold, v1alpha1.DefaultConsecutiveErrorLimit},
		{"interval", web, metav1.Duration{Duration: v1alpha1.DefaultMetricInterval}},
		{"count", web, v1alpha1.DefaultMetricCount},
		{"onInconclusive", gate, v1alpha1.InconclusivePause},
		{"scope", analysis.Properties["metricRef"], v1alpha1.MetricScopeNamespace},
	} {
		want, err := json.Marshal(field.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := field.schema.Properties[field.name].Default; got == nil || !sameDefault(got.Raw, want) {
			t.Errorf("the default of %s is %s in the CRD, and %s in the API", field.name, got, want)
		}
	}
}

// sameDefault compares two values in JSON. A duration of one minute is 1m0s in Go.
func sameDefault(a, b []byte) bool {
	var left, right metav1.Duration
	if json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil {
		return left == right
	}
	return string(a) == string(b)
}
