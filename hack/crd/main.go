// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command crd completes the CustomResourceDefinition that controller-gen wrote. In Go, spec.template is raw JSON: the
// API server stores it as given, and a dry run of its ReplicaSet validates it. The CEL rules of spec.template need
// types for the few fields that they read: they are in template.yaml. Labels get the limits that Kubernetes has for
// them, because the API server refuses CEL rules on labels of unlimited number and length.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: crd FILE"))
	}
	if err := rewrite(os.Args[1]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "crd:", err)
	os.Exit(1)
}

func rewrite(path string) error {
	in, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out, err := process(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, out, 0o644)
}

// process returns the CRD with the pod template of every version completed. It is idempotent.
func process(in []byte) ([]byte, error) {
	var crd map[string]any
	if err := yaml.Unmarshal(in, &crd); err != nil {
		return nil, err
	}
	versions, ok := lookup(crd, "spec", "versions").([]any)
	if !ok {
		return nil, fmt.Errorf("no spec.versions")
	}
	for _, version := range versions {
		spec := lookup(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
		template, ok := lookup(spec, "template").(schema)
		if !ok {
			return nil, fmt.Errorf("no spec.template in the schema")
		}
		if err := finishTemplate(template); err != nil {
			return nil, fmt.Errorf("template.yaml: %w", err)
		}
		matchLabels, ok := lookup(spec, "selector", "properties", "matchLabels").(schema)
		if !ok {
			return nil, fmt.Errorf("no spec.selector.matchLabels in the schema")
		}
		boundLabels(matchLabels)
	}
	out, err := yaml.Marshal(crd)
	return append([]byte("---\n"), out...), err
}

// lookup follows keys through nested maps. It returns nil if a key does not exist.
func lookup(node any, keys ...string) any {
	for _, key := range keys {
		object, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = object[key]
	}
	return node
}
