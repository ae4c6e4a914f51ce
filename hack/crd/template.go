// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"

	"sigs.k8s.io/yaml"
)

// schema is a JSON schema, as decoded from YAML.
type schema = map[string]any

//go:embed template.yaml
var templateSchema []byte

const (
	// maxLabelValue and labelValuePattern are Kubernetes' limits for label values.
	maxLabelValue     = 63
	labelValuePattern = `^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
)

// finishTemplate completes the schema of a pod template. The description and the rules come from the Go type.
func finishTemplate(template schema) error {
	return yaml.Unmarshal(templateSchema, &template)
}

// boundLabels makes the values of a map valid as label values.
func boundLabels(labels schema) {
	if value, ok := labels["additionalProperties"].(schema); ok {
		value["maxLength"] = maxLabelValue
		value["pattern"] = labelValuePattern
	}
}
