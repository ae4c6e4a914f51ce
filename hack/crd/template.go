// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"fmt"

	"sigs.k8s.io/yaml"
)

// schema is a JSON schema, as decoded from YAML.
type schema = map[string]any

var (
	//go:embed template.yaml
	templateSchema []byte
	//go:embed job.yaml
	jobSchema []byte
)

const (
	// maxLabelValue and labelValuePattern are Kubernetes' limits for label values.
	maxLabelValue     = 63
	labelValuePattern = `^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
)

// finishRollout completes the schemas of the pod template and of the selector. The description and the rules of the template
// come from the Go type.
func finishRollout(spec schema) error {
	template, ok := lookup(spec, "properties", "template").(schema)
	if !ok {
		return fmt.Errorf("no spec.template in the schema")
	}
	if err := yaml.Unmarshal(templateSchema, &template); err != nil {
		return fmt.Errorf("template.yaml: %w", err)
	}
	matchLabels, ok := lookup(spec, "properties", "selector", "properties", "matchLabels").(schema)
	if !ok {
		return fmt.Errorf("no spec.selector.matchLabels in the schema")
	}
	boundLabels(matchLabels)
	return nil
}

// finishJobs completes the schemas of the templates of Jobs. There must be at least one.
func finishJobs(spec schema) error {
	found := false
	var err error
	walk(spec, func(_ string, s schema) {
		if template, ok := lookup(s, "properties", "job", "properties", "template").(schema); ok && err == nil {
			found, err = true, yaml.Unmarshal(jobSchema, &template)
		}
	})
	if err != nil {
		return fmt.Errorf("job.yaml: %w", err)
	}
	if !found {
		return fmt.Errorf("no job.template in the schema")
	}
	return nil
}

// walk visits a schema and all schemas below it.
func walk(s schema, visit func(path string, s schema)) {
	var below func(path string, node any)
	below = func(path string, node any) {
		s, ok := node.(schema)
		if !ok {
			return
		}
		visit(path, s)
		properties, _ := s["properties"].(map[string]any)
		for name, property := range properties {
			below(path+"."+name, property)
		}
		below(path+"[]", s["items"])
		below(path+"{}", s["additionalProperties"])
	}
	below("", s)
}

// boundLabels makes the values of a map valid as label values.
func boundLabels(labels schema) {
	if value, ok := labels["additionalProperties"].(schema); ok {
		value["maxLength"] = maxLabelValue
		value["pattern"] = labelValuePattern
	}
}
