// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Template returns the raw pod template of a rollout or ReplicaSet, or nil if there is none. It must not be modified.
func Template(object *unstructured.Unstructured) map[string]any {
	spec, _ := object.Object["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	return template
}

// PodLabels returns the labels of a template as the API server reads them: null is an empty value.
func PodLabels(template map[string]any) map[string]string {
	values, _, _ := unstructured.NestedMap(template, "metadata", "labels")
	labels := make(map[string]string, len(values))
	for key, value := range values {
		labels[key], _ = value.(string)
	}
	return labels
}

// Equal reports whether two templates mean the same pods. The API server must have defaulted both. The label
// pod-template-hash names a revision and is ignored.
func Equal(a, b map[string]any) bool {
	return reflect.DeepEqual(stripped(a), stripped(b))
}

// Digest identifies the pods that a defaulted template means: Equal templates, and no others, have the same digest. So a template need
// not be kept to be compared.
func Digest(template map[string]any) (string, error) {
	digest, err := hash(stripped(template))
	if err != nil {
		return "", fmt.Errorf("encode the pod template: %w", err)
	}
	return digest, nil
}

// stripped copies a template without its hash label and without values that mean the same as absent.
func stripped(template map[string]any) any {
	bare := runtime.DeepCopyJSON(template)
	unstructured.RemoveNestedField(bare, "metadata", "labels", v1alpha1.RevisionLabel)
	metadata, _ := bare["metadata"].(map[string]any)
	for _, key := range []string{"labels", "annotations"} {
		if values, isMap := metadata[key].(map[string]any); isMap && len(values) == 0 {
			delete(metadata, key)
		}
	}
	return withoutNulls(bare)
}

// withoutNulls removes null fields: older API servers write creationTimestamp: null into every template.
func withoutNulls(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		for key, field := range typed {
			if field == nil {
				delete(typed, key)
				continue
			}
			typed[key] = withoutNulls(field)
		}
	case []any:
		for i := range typed {
			typed[i] = withoutNulls(typed[i])
		}
	}
	return value
}
