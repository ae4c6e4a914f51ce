// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/openapi"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/config/crd"
)

// missingFields returns the fields of our CustomResourceDefinition that the installed one lacks. If there are any,
// the installed one is older and rejects what we write. Every user of the API server may read the schema, so this
// needs no permission.
func missingFields(published openapi.Client) ([]string, error) {
	var own apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.Rollouts, &own); err != nil {
		return nil, fmt.Errorf("read our own CustomResourceDefinition: %w", err)
	}
	paths, err := published.Paths()
	if err != nil {
		return nil, fmt.Errorf("list the published schemas: %w", err)
	}
	path := "apis/" + v1alpha1.GroupVersion.String()
	group := paths[path]
	if group == nil {
		return nil, fmt.Errorf("no schema is published at %s", path)
	}
	content, err := group.Schema("application/json")
	if err != nil {
		return nil, fmt.Errorf("read the published schema: %w", err)
	}
	var document struct {
		Components struct {
			Schemas map[string]apiextensionsv1.JSONSchemaProps `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("read the published schema: %w", err)
	}
	installed, isPublished := document.Components.Schemas["dev.canaryrollout.v1alpha1.CanaryRollout"]
	if !isPublished {
		return nil, fmt.Errorf("no schema of CanaryRollout is published at %s", path)
	}
	return missing(*own.Spec.Versions[0].Schema.OpenAPIV3Schema, installed, ""), nil
}

// missing returns the paths of the properties that one schema has and the other lacks, each without what is below it.
func missing(own, installed apiextensionsv1.JSONSchemaProps, path string) []string {
	if own.Items != nil && own.Items.Schema != nil && installed.Items != nil && installed.Items.Schema != nil {
		return missing(*own.Items.Schema, *installed.Items.Schema, path+"[]")
	}
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(own.Properties)) {
		below, isKnown := installed.Properties[name]
		if !isKnown {
			paths = append(paths, path+"."+name)
			continue
		}
		paths = append(paths, missing(own.Properties[name], below, path+"."+name)...)
	}
	return paths
}
