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
func Rollout(tb testing.TB) *v1alpha1.CanaryRollout {
	tb.Helper()
	rollout := &v1alpha1.CanaryRollout{}
	decode(tb, rollout)
	return rollout
}

// Object returns the fields of the sample's CanaryRollout exactly as written.
func Object(tb testing.TB) map[string]any {
	tb.Helper()
	object := map[string]any{}
	decode(tb, &object)
	return object
}

func decode(tb testing.TB, into any) {
	tb.Helper()
	content, err := os.ReadFile(Path(Rollouts))
	if err != nil {
		tb.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		tb.Fatal(err)
	}
}
