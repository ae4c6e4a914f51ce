// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/convert"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
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

// argoRollout uses the Services and the route of workload.
const argoRollout = workload + `
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: app, image: %[3]s}]}
  strategy:
    canary:
      stableService: %[2]s-stable
      canaryService: %[2]s-canary
      trafficRouting: {plugins: {argoproj-labs/gatewayAPI: {httpRoute: %[2]s, namespace: %[1]s}}}
      steps: [{setWeight: 50}, {pause: {}}]
`

// TestConvertedIsReleased applies what kubectl canary convert makes of the manifests of each tool, and releases a second version.
func TestConvertedIsReleased(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ manifests, pausedAt string }{
		"argo":    {argoRollout, "2/2"},
		"flagger": {builder.FlaggerCanary, "3/3"},
	} {
		t.Run(name, func(t *testing.T) {
			a := parallel(t)
			content := fmt.Appendf(nil, tc.manifests, a.namespace, a.name, builder.ImageV1)
			result := convert.Convert([]lint.Source{{Name: name, Content: content}}, convert.Options{})
			for _, object := range result.Objects {
				content, err := object.YAML()
				if err != nil {
					t.Fatal(err)
				}
				mustKubectl(t, string(content), "apply", "--server-side", "--force-conflicts", "-f", "-")
			}
			a.patch(`{"spec":{"scaleDownDelaySeconds":0,"traffic":{"settleSeconds":0}}}`) // the defaults take half a minute
			a.waitForState(v1alpha1.StateHealthy)
			a.setImage(builder.ImageV2)
			a.waitForStep(v1alpha1.StatePaused, tc.pausedAt)
			a.annotate(promote, "true")
			a.waitForStable(builder.ImageV2)
		})
	}
}
