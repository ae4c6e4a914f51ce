// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/config/crd"
)

// TestDefaults: the planner, the plugin and the API server assume the same values for fields that are not set. A marker
// cannot refer to a constant, so each number is written twice.
func TestDefaults(t *testing.T) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.Manifest, &definition); err != nil {
		t.Fatal(err)
	}
	spec := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	traffic := spec.Properties["traffic"]
	if maximum := spec.Properties["revisionHistoryLimit"].Maximum; maximum == nil || int32(*maximum) != v1alpha1.MaxRevisionHistoryLimit {
		t.Errorf("the maximum of revisionHistoryLimit is %v in the CRD, and %d in the API", maximum, v1alpha1.MaxRevisionHistoryLimit)
	}
	for _, field := range []struct {
		name   string
		schema apiextensionsv1.JSONSchemaProps
		want   int32
	}{
		{"revisionHistoryLimit", spec, v1alpha1.DefaultRevisionHistoryLimit},
		{"progressDeadlineSeconds", spec, v1alpha1.DefaultProgressDeadlineSeconds},
		{"scaleDownDelaySeconds", spec, v1alpha1.DefaultScaleDownDelaySeconds},
		{"settleSeconds", traffic, v1alpha1.DefaultSettleSeconds},
		{"verifyTimeoutSeconds", traffic, v1alpha1.DefaultVerifyTimeoutSeconds},
	} {
		var got int32
		if value := field.schema.Properties[field.name].Default; value == nil || json.Unmarshal(value.Raw, &got) != nil || got != field.want {
			t.Errorf("the default of %s is %d in the CRD, and %d in the API", field.name, got, field.want)
		}
	}
}
