// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/convert"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// TestConverted sends what kubectl canary convert makes of the manifests of its tests to the API server.
func TestConverted(t *testing.T) {
	files, err := filepath.Glob(repository.Path("cmd", "kubectl-canary", "convert", "testdata", "*", "in.yaml"))
	if err != nil || len(files) < 11 {
		t.Fatalf("got %d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			content, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				t.Fatal(err)
			}
			result := convert.Convert([]lint.Source{{Name: file, Content: content}}, convert.Options{})
			for _, object := range result.Objects {
				if object.Kind == "VirtualService" {
					continue // the cluster has no such kind
				}
				content, err := object.YAML()
				if err != nil {
					t.Fatal(err)
				}
				fields := map[string]any{}
				if err := yaml.Unmarshal(content, &fields); err != nil {
					t.Fatal(err)
				}
				fields["metadata"].(map[string]any)["namespace"] = namespace
				if _, err := tryCreate(t, fields); err != nil {
					t.Errorf("%s %s: %v\n%s", object.Kind, object.Name, err, content)
				}
			}
		})
	}
}
