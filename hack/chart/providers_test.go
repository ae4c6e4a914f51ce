// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/canaryrollout/canaryrollout/controllers/measure"
)

// TestMetricProviders: the manager can read the file that the chart makes of a value, where the arguments say it is. Other
// providers are other pods, because the manager reads the file once.
func TestMetricProviders(t *testing.T) {
	marks := map[string]bool{}
	for _, url := range []string{"http://a", "http://b"} {
		rendered := objects(t, `--set-json=metricProviders=[{"name":"default","prometheus":{"url":"`+url+`","scrapeInterval":"5s"},"timeout":"3s"}]`)
		file := &corev1.ConfigMap{}
		typed(t, rendered, "ConfigMap", file)
		deployment := &appsv1.Deployment{}
		typed(t, rendered, "Deployment", deployment)
		pod := deployment.Spec.Template
		for name, content := range file.Data {
			if args := strings.Join(pod.Spec.Containers[0].Args, " "); !strings.Contains(args, "/"+name) {
				t.Errorf("the arguments %s do not name %s", args, name)
			}
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := measure.LoadProviders(path); err != nil {
				t.Error(err)
			}
		}
		marks[pod.Annotations["canaryrollout.dev/metric-providers"]] = true
	}
	if len(marks) != 2 {
		t.Errorf("other providers are the same pods: %v", marks)
	}
}

// TestJobRights: rights for Jobs come with the flag, and only with it.
func TestJobRights(t *testing.T) {
	for _, set := range []string{"allowJobs=false", "allowJobs=true", "allowJobs=true,watchNamespaces={shop}"} {
		output, err := template(t, "--set="+set)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Contains(set, "true")
		if isAllowed := strings.Contains(output, "- --allow-jobs\n"); isAllowed != want || strings.Contains(output, "\n  - jobs\n") != want {
			t.Errorf("%s: the flag is set: %t, the rights are there: %t", set, isAllowed, strings.Contains(output, "\n  - jobs\n"))
		}
	}
}
