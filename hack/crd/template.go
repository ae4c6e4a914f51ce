// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// schema is a JSON schema, as decoded from YAML.
type schema = map[string]any

const (
	// maxLabels and maxContainers are far above what pods have; CEL needs to know some bound.
	maxLabels     = 128
	maxContainers = 128
	// maxLabelValue is the limit that Kubernetes has for label values.
	maxLabelValue = 63
	// maxImage is far above what registries accept.
	maxImage = 1024

	// maxContainerName is the limit that Kubernetes has for container names.
	maxContainerName = 63

	containerNamePattern = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	labelValuePattern    = `^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
	// quantityPattern has short exponents and no fraction in them: others pass the generated pattern and then fail
	// to decode.
	quantityPattern   = `^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$`
	maxQuantityLength = 64
)

// finishTemplate turns the generated schema of a pod template into the one that we ship.
func finishTemplate(template schema) {
	description, described := template["description"]
	walk(template, func(s schema) {
		strip(s)
		relaxMapList(s)
		boundNumbers(s)
	})
	if described {
		template["description"] = description
	}
	if labels, ok := lookup(template, "properties", "metadata", "properties", "labels").(schema); ok {
		labels["maxProperties"] = maxLabels
		boundLabels(labels)
	}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		if containers, ok := lookup(template, "properties", "spec", "properties", list).(schema); ok {
			boundContainers(containers)
		}
	}
}

// walk visits a schema and all schemas below it. It never mistakes a property for a keyword: a field may well be
// called "description" or "default".
func walk(s schema, visit func(schema)) {
	visit(s)
	if properties, ok := s["properties"].(map[string]any); ok {
		for _, property := range properties {
			walkAny(property, visit)
		}
	}
	walkAny(s["items"], visit)
	walkAny(s["additionalProperties"], visit)
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		alternatives, _ := s[keyword].([]any)
		for _, alternative := range alternatives {
			walkAny(alternative, visit)
		}
	}
}

func walkAny(node any, visit func(schema)) {
	if s, ok := node.(schema); ok {
		walk(s, visit)
	}
}

func strip(s schema) {
	delete(s, "description")
	delete(s, "default")
}

// relaxMapList makes a list atomic when an optional key field holds its elements apart (a port's protocol, a pull
// secret's name): the API server accepts such a key only with a default, and there are none below the template.
func relaxMapList(s schema) {
	keys, ok := s["x-kubernetes-list-map-keys"].([]any)
	if !ok {
		return
	}
	required, _ := lookup(s, "items", "required").([]any)
	for _, key := range keys {
		if !slices.Contains(required, key) {
			delete(s, "x-kubernetes-list-map-keys")
			s["x-kubernetes-list-type"] = "atomic"
			return
		}
	}
}

// boundNumbers keeps what is an int32 or a quantity in Go decodable. Plain integers have a format that says so.
func boundNumbers(s schema) {
	if s["x-kubernetes-int-or-string"] != true {
		return
	}
	if _, isQuantity := s["pattern"]; isQuantity {
		s["pattern"] = quantityPattern
		s["maxLength"] = maxQuantityLength
		return
	}
	s["minimum"] = math.MinInt32
	s["maximum"] = math.MaxInt32
}

// boundLabels makes the values of a map valid as label values.
func boundLabels(labels schema) {
	if value, ok := labels["additionalProperties"].(schema); ok {
		value["maxLength"] = maxLabelValue
		value["pattern"] = labelValuePattern
	}
}

func boundContainers(containers schema) {
	containers["maxItems"] = maxContainers
	if image, ok := lookup(containers, "items", "properties", "image").(schema); ok {
		image["maxLength"] = maxImage
	}
	if name, ok := lookup(containers, "items", "properties", "name").(schema); ok {
		name["maxLength"] = maxContainerName
		name["pattern"] = containerNamePattern
	}
}
