// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"sigs.k8s.io/yaml"
)

const (
	shipped        = "../../config/crd/canaryrollout.dev_canaryrollouts.yaml"
	shippedMetrics = "../../config/crd/canaryrollout.dev_canarymetrics.yaml"
)

// annotationLimit is the maximum size of all annotations of an object, reduced by a reserve for others. `kubectl
// apply` stores the whole manifest in one.
const annotationLimit = 262_144 * 3 / 4

func TestShippedCRDFitsIntoAnnotation(t *testing.T) {
	manifest, err := yaml.YAMLToJSON(read(t, shipped))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest) > annotationLimit {
		t.Errorf("the CRD has %d bytes as JSON, more than %d: kubectl apply would not take it", len(manifest), annotationLimit)
	}
}

// TestShippedTemplateIsStoredAsGiven: every typed object below the template also accepts unknown fields, and nothing
// is added to it. Lists have keys only where a Deployment requires unique ones.
func TestShippedTemplateIsStoredAsGiven(t *testing.T) {
	template := shippedSpec(t)["template"].(schema)
	if template["description"] == nil || template["x-kubernetes-validations"] == nil {
		t.Error("spec.template has no description or no rules")
	}
	walk(template, func(path string, s schema) {
		if s["properties"] != nil && s["x-kubernetes-preserve-unknown-fields"] != true {
			t.Errorf("%s drops fields that are not in the schema", path)
		}
		if s["default"] != nil {
			t.Errorf("%s has a default, which would change stored templates", path)
		}
		if s["x-kubernetes-list-type"] != nil && path != ".spec.containers" && path != ".spec.initContainers" {
			t.Errorf("%s refuses what a Deployment may take", path)
		}
	})
}

func TestShippedFieldsOutsideTemplateAreDescribed(t *testing.T) {
	for name, property := range shippedSpec(t) {
		if name == "template" {
			continue
		}
		if description, _ := lookup(property, "description").(string); !strings.HasPrefix(description, name+" ") {
			t.Errorf("spec.%s is described as %q, which does not begin with its name", name, description)
		}
	}
}

func TestShippedDefaultsOutsideTemplateAreKept(t *testing.T) {
	spec := shippedSpec(t)
	headerType := lookup(spec["steps"], "items", "properties", "setHeaderRoute", "properties", "matches", "items",
		"properties", "headers", "items", "properties", "type", "default")
	if headerType != "Exact" {
		t.Errorf("the type of a header match defaults to %v, want Exact as in the Gateway API", headerType)
	}
	if limit := lookup(spec["revisionHistoryLimit"], "default"); limit != 10.0 {
		t.Errorf("spec.revisionHistoryLimit defaults to %v, want 10", limit)
	}
	// A default could not be distinguished from what a user sets: an adopted workload would be scaled to it.
	if replicas := lookup(spec["replicas"], "default"); replicas != nil {
		t.Errorf("spec.replicas defaults to %v, want none", replicas)
	}
}

func TestProcessIsIdempotent(t *testing.T) {
	for _, path := range []string{shipped, shippedMetrics} {
		once := read(t, path)
		twice, err := process(once)
		if err != nil {
			t.Fatal(err)
		}
		if string(twice) != string(once) {
			t.Errorf("%s changes when it is processed again: run make manifests", path)
		}
	}
}

func TestProcessRefusesWhatItCannotComplete(t *testing.T) {
	for _, in := range []string{"{}", "spec: {versions: [{name: v1}]}", "]", "spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {}}}}}]}"} {
		if _, err := process([]byte(in)); err == nil {
			t.Errorf("process(%q) has no error", in)
		}
	}
}

// TestAPIServerAcceptsShippedCRDs: the API server bounds the cost of CEL rules, by what they could cost with the largest object
// that the schema allows. It refuses a CustomResourceDefinition beyond that.
func TestAPIServerAcceptsShippedCRDs(t *testing.T) {
	for _, path := range []string{shipped, shippedMetrics} {
		given, internal := &apiextensionsv1.CustomResourceDefinition{}, &apiextensions.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(read(t, path), given); err != nil {
			t.Fatal(err)
		}
		apiextensionsv1.SetDefaults_CustomResourceDefinition(given)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&given.Spec)
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(given, internal, nil); err != nil {
			t.Fatal(err)
		}
		internal.Status.StoredVersions = []string{given.Spec.Versions[0].Name}
		for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), internal) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func shippedSpec(t *testing.T) map[string]any {
	t.Helper()
	crd := parse(t, string(read(t, shipped)))
	version := lookup(crd, "spec", "versions").([]any)[0]
	return lookup(version, "schema", "openAPIV3Schema", "properties", "spec", "properties").(map[string]any)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func parse(t *testing.T, in string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(in), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
