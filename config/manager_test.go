// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestPodIdentity: the manager knows its pod, so that a container that restarts holds the lease of its former process.
func TestPodIdentity(t *testing.T) {
	fields := map[string]string{}
	for _, variable := range manager(t).Env {
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
			fields[variable.Name] = from.FieldRef.FieldPath
		}
	}
	if fields["POD_NAME"] != "metadata.name" || fields["POD_UID"] != "metadata.uid" {
		t.Errorf("the fields of the pod in the environment are %v", fields)
	}
}

// manager returns the container of the manager.
func manager(t *testing.T) corev1.Container {
	t.Helper()
	content, err := os.ReadFile("manager/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(content, &deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec.Containers[0]
}

// TestMemoryLimit: the Go runtime knows the memory limit of its container. Without it the heap may double before it is
// collected, and the kernel ends the process.
func TestMemoryLimit(t *testing.T) {
	manager := manager(t)
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
