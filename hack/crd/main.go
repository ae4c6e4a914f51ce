// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command crd finishes the CustomResourceDefinition that controller-gen wrote. In Go, spec.template is raw JSON: the API
// server stores it as it is given, and a dry run of its ReplicaSet checks it. The CEL rules of spec.template need types
// for the few fields that they look at: they are in template.yaml. Labels gain the bounds that Kubernetes has for them,
// since the API server refuses CEL rules on labels of any number and length.
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

// process returns the CRD with every version's pod template finished. Processing twice changes nothing more.
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

// lookup follows keys through nested maps, and returns nil where they lead nowhere.
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
