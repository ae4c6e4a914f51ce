// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const shipped = "../../config/crd/canaryrollout.dev_canaryrollouts.yaml"

// annotationLimit is how large all annotations of an object may be together. `kubectl apply` keeps the whole manifest
// in one; the rest is left for others.
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

func TestShippedTemplateHasNoDescriptionsAndDefaults(t *testing.T) {
	template := shippedSpec(t)["template"].(schema)
	if template["description"] == nil {
		t.Error("spec.template itself has no description: kubectl explain would be silent")
	}
	delete(template, "description")
	count := 0
	walk(template, func(s schema) {
		count++
		for _, keyword := range []string{"description", "default"} {
			if found, ok := s[keyword]; ok {
				t.Errorf("%s %v below spec.template", keyword, found)
			}
		}
	})
	if count < 1000 {
		t.Errorf("saw %d schemas below spec.template: that is no pod template", count)
	}
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
	// A default could not be told from what a user asks for: an adopted workload would be cut to it.
	if replicas := lookup(spec["replicas"], "default"); replicas != nil {
		t.Errorf("spec.replicas defaults to %v, want none", replicas)
	}
}

func TestProcessIsIdempotent(t *testing.T) {
	once := read(t, shipped)
	twice, err := process(once)
	if err != nil {
		t.Fatal(err)
	}
	if string(twice) != string(once) {
		t.Error("the shipped CRD changes when it is processed again: run make manifests")
	}
}

func TestFinishTemplate(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"descriptions and defaults go": {
			`{properties: {a: {description: text, default: 1, items: {description: text}}}}`,
			`{properties: {a: {items: {}}}}`,
		},
		"fields with the names of keywords stay": {
			`{properties: {description: {type: string}, default: {type: string}}}`,
			`{properties: {description: {type: string}, default: {type: string}}}`,
		},
		"a map list whose key had a default becomes atomic": {
			`{x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [port, protocol], items: {required: [port]}}`,
			`{x-kubernetes-list-type: atomic, items: {required: [port]}}`,
		},
		"a map list with required keys stays": {
			`{x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {required: [name]}}`,
			`{x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: {required: [name]}}`,
		},
		"a port stays within int32": {
			`{additionalProperties: {x-kubernetes-int-or-string: true}}`,
			`{additionalProperties: {x-kubernetes-int-or-string: true, minimum: -2147483648, maximum: 2147483647}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, want := parse(t, tc.in), parse(t, tc.want)
			finishTemplate(got)
			if g, w := toJSON(t, got), toJSON(t, want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		})
	}
}

func TestProcessRefusesWhatIsNoRollout(t *testing.T) {
	for _, in := range []string{"{}", "spec: {versions: [{name: v1}]}", "]"} {
		if _, err := process([]byte(in)); err == nil {
			t.Errorf("process(%q) has no error", in)
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

func toJSON(t *testing.T, value any) string {
	t.Helper()
	out, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
