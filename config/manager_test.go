// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestMemoryLimit: the Go runtime knows the memory limit of its container. Without it the heap may double before it is
// collected, and the kernel ends the process.
func TestMemoryLimit(t *testing.T) {
	content, err := os.ReadFile("manager/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(content, &deployment); err != nil {
		t.Fatal(err)
	}
	manager := deployment.Spec.Template.Spec.Containers[0]
	if manager.Resources.Limits.Memory().IsZero() {
		t.Error("the manager has no memory limit")
	}
	for _, variable := range manager.Env {
		if from := variable.ValueFrom; variable.Name == "GOMEMLIMIT" && from != nil && from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory" {
			return
		}
	}
	t.Errorf("GOMEMLIMIT is not the memory limit: %+v", manager.Env)
}
