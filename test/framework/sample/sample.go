// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sample reads the bookinfo sample, config/samples/reviews.
package sample

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// Rollouts is the name of the file with the CanaryRollout.
const Rollouts = "canaryrollout.yaml"

// Path returns the path of a file of the sample.
func Path(file string) string { return repository.Path("config", "samples", "reviews", file) }

// Rollout returns the sample's CanaryRollout.
func Rollout(t testing.TB) *v1alpha1.CanaryRollout {
	t.Helper()
	rollout := &v1alpha1.CanaryRollout{}
	decode(t, rollout)
	return rollout
}

// Object returns the fields of the sample's CanaryRollout exactly as written.
func Object(t testing.TB) map[string]any {
	t.Helper()
	object := map[string]any{}
	decode(t, &object)
	return object
}

func decode(t testing.TB, into any) {
	t.Helper()
	content, err := os.ReadFile(Path(Rollouts))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		t.Fatal(err)
	}
}
