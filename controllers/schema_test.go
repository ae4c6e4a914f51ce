// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/openapi"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/config/crd"
)

// publishedSchema is an API server that publishes our CustomResourceDefinition without some fields.
type publishedSchema struct{ without [][]string }

func (p publishedSchema) Paths() (map[string]openapi.GroupVersion, error) {
	return map[string]openapi.GroupVersion{"apis/canaryrollout.dev/v1alpha1": p}, nil
}

func (p publishedSchema) Schema(string) ([]byte, error) {
	definition := map[string]any{}
	if err := yaml.Unmarshal(crd.Rollouts, &definition); err != nil {
		return nil, err
	}
	versions, _, err := unstructured.NestedSlice(definition, "spec", "versions")
	if err != nil {
		return nil, err
	}
	schema, _, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema")
	for _, path := range p.without {
		if _, found, _ := unstructured.NestedFieldNoCopy(schema, path...); !found {
			err = errors.Join(err, errors.New("no field "+strings.Join(path, ".")))
		}
		unstructured.RemoveNestedField(schema, path...)
	}
	document, encodeErr := json.Marshal(map[string]any{"components": map[string]any{"schemas": map[string]any{
		"dev.canaryrollout.v1alpha1.CanaryRollout": schema,
	}}})
	return document, errors.Join(err, encodeErr)
}

func (p publishedSchema) ServerRelativeURL() string { return "" }

// TestMissingFields: a CustomResourceDefinition that is older than the manager is detected by the fields that it lacks.
func TestMissingFields(t *testing.T) {
	for name, tc := range map[string]struct{ without, want []string }{
		"the same":            {nil, nil},
		"a field of memory":   {[]string{"properties.status.properties.memory.properties.version"}, []string{".status.memory.version"}},
		"a field and a group": {[]string{"properties.status.properties.memory", "properties.spec.properties.paused"}, []string{".spec.paused", ".status.memory"}},
		"a field in a list": {
			[]string{"properties.spec.properties.steps.items.properties.setMirrorRoute"}, []string{".spec.steps[].setMirrorRoute"},
		},
	} {
		var without [][]string
		for _, path := range tc.without {
			without = append(without, strings.Split(path, "."))
		}
		got, err := missingFields(publishedSchema{without})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
