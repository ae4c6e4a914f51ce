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
	"github.com/canaryrollout/canaryrollout/controllers/notify"
)

// TestFiles: the manager can read the files that the chart makes of values, where the arguments say they are. Another file is
// another pod, because the manager reads the file once.
func TestFiles(t *testing.T) {
	for mark, tc := range map[string]struct {
		set  string
		load func(file string) error
	}{
		"canaryrollout.dev/metric-providers": {
			`--set-json=metricProviders=[{"name":"default","prometheus":{"url":"URL","scrapeInterval":"5s"},"timeout":"3s"}]`,
			func(file string) error { _, err := measure.LoadProviders(file); return err },
		},
		"canaryrollout.dev/notification-sinks": {
			`--set-json=notificationSinks=[{"name":"audit","cloudEvents":{"url":"URL"},"default":true,"namespaces":["shop"],"transitions":["Paused"]}]`,
			func(file string) error { _, err := notify.LoadSinks(file); return err },
		},
	} {
		marks := map[string]bool{}
		for _, url := range []string{"http://a", "http://b"} {
			rendered := objects(t, strings.Replace(tc.set, "URL", url, 1))
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
				if err := tc.load(path); err != nil {
					t.Error(err)
				}
			}
			marks[pod.Annotations[mark]] = true
		}
		if len(marks) != 2 || marks[""] {
			t.Errorf("other files are the same pods: %v", marks)
		}
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
