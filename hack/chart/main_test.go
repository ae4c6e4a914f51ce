// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart, config/chart, without a cluster. Tests that need one are in test/chart.
package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

const (
	// A release with this name in this namespace has the same names as config/default.
	release   = "canaryrollout"
	namespace = "canaryrollout-system"

	config = "../../config"
)

func TestMain(m *testing.M) {
	if err := helm.Build(os.Stderr); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// valueSets returns the files of values in testdata, by name.
func valueSets(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("there are only the value sets %v (%v)", files, err)
	}
	sets := map[string]string{}
	for _, file := range files {
		sets[strings.TrimSuffix(filepath.Base(file), ".values.yaml")] = file
	}
	return sets
}

// template renders the chart; args are additional flags of helm.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"template", release, helm.Chart(), "--namespace=" + namespace}, args...)
	return helm.Client{Home: t.TempDir()}.Run(t.Context(), args...)
}

// objects returns the objects that the chart renders.
func objects(t *testing.T, args ...string) []*unstructured.Unstructured {
	t.Helper()
	output, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, output)
}

func decode(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	decoded, err := helm.Decode(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// typed decodes the first object of its kind, and refuses fields that the kind does not have.
func typed(t *testing.T, from []*unstructured.Unstructured, kind string, into any) {
	t.Helper()
	for _, object := range from {
		if object.GetKind() == kind {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
				t.Errorf("%s %s: %v", kind, object.GetName(), err)
			}
			return
		}
	}
	t.Fatalf("no %s was rendered", kind)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
