// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestProject: PROJECT, which kubebuilder reads, names the module and the kinds that there are. The types are decoded
// strictly, with the fields of version 3 that are in use.
func TestProject(t *testing.T) {
	type api struct {
		CRDVersion string `json:"crdVersion"`
		Namespaced bool   `json:"namespaced"`
	}
	type resource struct {
		API                                api
		Controller                         bool
		Group, Domain, Version, Kind, Path string
	}
	var project struct {
		Version, Domain, ProjectName, Repo string
		Layout                             []string
		Resources                          []resource
	}
	content, err := os.ReadFile("../PROJECT")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, &project); err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if project.Version != "3" || !strings.HasPrefix(string(module), "module "+project.Repo+"\n") {
		t.Errorf("version %s of module %s", project.Version, project.Repo)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, r := range project.Resources {
		kind := schema.GroupVersionKind{Group: strings.TrimPrefix(r.Group+"."+r.Domain, "."), Version: r.Version, Kind: r.Kind}
		if !scheme.Recognizes(kind) || r.Domain != project.Domain {
			t.Errorf("there is no %s", kind)
		}
		if _, err := os.Stat(strings.Replace(r.Path, project.Repo, "..", 1)); err != nil {
			t.Error(err)
		}
	}
	if len(project.Resources) != 2 {
		t.Errorf("%d kinds", len(project.Resources))
	}
}
