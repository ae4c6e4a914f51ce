// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command crd completes the CustomResourceDefinitions that controller-gen wrote. In Go, templates of pods and Jobs are raw
// JSON: the API server stores them as given. The CEL rules of spec.template need types for the few fields that they read: they
// are in template.yaml. What every template of a Job must have is in job.yaml. Labels get the limits that Kubernetes has for
// them, because the API server refuses CEL rules on labels of unlimited number and length.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: crd FILE [FILE...]"))
	}
	for _, path := range os.Args[1:] {
		if err := rewrite(path); err != nil {
			fail(err)
		}
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

// process returns the CRD with the templates of every version completed. It is idempotent.
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
		spec, ok := lookup(version, "schema", "openAPIV3Schema", "properties", "spec").(schema)
		if !ok {
			return nil, fmt.Errorf("no spec in the schema")
		}
		if lookup(crd, "spec", "names", "kind") == "CanaryRollout" {
			if err := finishRollout(spec); err != nil {
				return nil, err
			}
		}
		if err := finishJobs(spec); err != nil {
			return nil, err
		}
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
