// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kustomize is what Kustomize has to know of CanaryRollouts. Its test builds with kubectl, as users do.
package kustomize

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// configured is what docs/gitops.md says to put into a kustomization.
const configured = "configurations: [configuration.yaml]\nopenapi: {path: schema.json}\n"

const app = `
apiVersion: v1
kind: Service
metadata: {name: album-stable}
spec: {selector: {app: album}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: album-canary}
spec: {selector: {app: album}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: album}
spec:
  parentRefs: [{name: http-gateway, namespace: infra}]
  rules: [{backendRefs: [{name: album-stable, port: 80, weight: 100}, {name: album-canary, port: 80, weight: 0}]}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: album}
spec: {scaleTargetRef: {apiVersion: canaryrollout.dev/v1alpha1, kind: CanaryRollout, name: album}, maxReplicas: 9}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: album}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: main, image: "album:v1", env: [{name: A, value: a}]}]}
---
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: album}
spec:
  replicas: 4
  selector: {matchLabels: {app: album}}
  traffic: {stableService: album-stable, canaryService: album-canary, routes: [{kind: HTTPRoute, name: album}]}
  steps: [{setWeight: 20}, {pause: {}}]
  template:
    metadata: {labels: {app: album}}
    spec:
      serviceAccountName: album
      containers:
      - name: main
        image: album:v1
        ports: [{name: http, containerPort: 9080}, {name: dns, containerPort: 53}, {name: dns-udp, containerPort: 53, protocol: UDP}]
        readinessProbe: {httpGet: {path: /, port: http}}
        env: [{name: MODE, value: normal}, {name: SET, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]
        envFrom: [{configMapRef: {name: settings}}]
`

// build is what kubectl kustomize makes of the app, by kind and name.
func build(t *testing.T, kustomization string, files map[string]string) map[string]map[string]any {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"configuration.yaml", "schema.json"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(name, content)
	}
	write("app.yaml", []byte(app))
	write("kustomization.yaml", []byte("resources: [app.yaml]\n"+configured+kustomization))
	for name, content := range files {
		write(name, []byte(content))
	}
	output, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return parse(t, string(output))
}

func parse(t *testing.T, documents string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for document := range strings.SplitSeq(documents, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		objects[fmt.Sprint(object["kind"], " ", at(object, "metadata.name"))] = object
	}
	return objects
}

// checkFields compares fields of objects, in YAML, by kind, name and path.
func checkFields(t *testing.T, objects map[string]map[string]any, want map[string]map[string]string) {
	t.Helper()
	for name, fields := range want {
		if objects[name] == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		for path, text := range fields {
			var want any
			if err := yaml.Unmarshal([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, at(objects[name], path)); diff != "" {
				t.Errorf("%s %s differs (-want +got):\n%s", name, path, diff)
			}
		}
	}
}

// at follows a path of fields and indexes; nil where it leads nowhere.
func at(node any, path string) any {
	for field := range strings.SplitSeq(path, ".") {
		switch typed := node.(type) {
		case map[string]any:
			node = typed[field]
		case []any:
			i, err := strconv.Atoi(field)
			if err != nil || i >= len(typed) {
				return nil
			}
			node = typed[i]
		default:
			return nil
		}
	}
	return node
}

// TestNamesAndLabels: a prefix and a label reach what a rollout names and selects.
func TestNamesAndLabels(t *testing.T) {
	objects := build(t, `
namePrefix: blue-
namespace: demo
labels: [{pairs: {stage: blue}, includeSelectors: true}]
commonAnnotations: {team: books}
images: [{name: album, newTag: v2}]
replicas: [{name: album, count: 2}]
`, nil)
	checkFields(t, objects, map[string]map[string]string{
		"CanaryRollout blue-album": {
			"spec.traffic":                            "{stableService: blue-album-stable, canaryService: blue-album-canary, routes: [{kind: HTTPRoute, name: blue-album}]}",
			"spec.replicas":                           "2",
			"spec.selector.matchLabels":               "{app: album, stage: blue}",
			"spec.template.metadata":                  "{labels: {app: album, stage: blue}, annotations: {team: books}}",
			"spec.template.spec.containers.0.image":   "album:v2",
			"spec.template.spec.containers.0.envFrom": "[{configMapRef: {name: blue-settings}}]",
			"spec.template.spec.containers.0.env.1":   "{name: SET, valueFrom: {configMapKeyRef: {name: blue-settings, key: a}}}",
			"spec.template.spec.serviceAccountName":   "blue-album",
		},
		"HTTPRoute blue-album": {
			"spec.parentRefs":          "[{name: http-gateway, namespace: infra}]",
			"spec.rules.0.backendRefs": "[{name: blue-album-stable, port: 80, weight: 100}, {name: blue-album-canary, port: 80, weight: 0}]",
		},
		"HorizontalPodAutoscaler blue-album": {"spec.scaleTargetRef.name": "blue-album"},
		"Service blue-album-canary":          {"spec.selector": "{app: album, stage: blue}"},
	})
}

// TestPatchMerges: a patch of one variable keeps the image, the ports and the probe. Kinds of Kubernetes are merged as
// before, although the schema takes the place of the one that is built in.
func TestPatchMerges(t *testing.T) {
	objects := build(t, "patches: [{path: rollout.yaml}, {path: worker.yaml}]\n", map[string]string{
		"rollout.yaml": `
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: album}
spec:
  traffic: {routes: [{kind: GRPCRoute, name: album}]}
  steps: [{setWeight: 50}]
  template: {spec: {containers: [{name: main, env: [{name: MODE, value: careful}], ports: [{name: dns-2, containerPort: 53, protocol: UDP}]}]}}
`,
		"worker.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec: {template: {spec: {containers: [{name: main, env: [{name: B, value: b}]}]}}}
`,
	})
	checkFields(t, objects, map[string]map[string]string{
		"CanaryRollout album": {
			"spec.traffic.routes": "[{kind: GRPCRoute, name: album}, {kind: HTTPRoute, name: album}]",
			"spec.steps":          "[{setWeight: 50}]",
			"spec.template.spec.containers": `
- name: main
  image: album:v1
  ports: [{name: http, containerPort: 9080}, {name: dns, containerPort: 53}, {name: dns-2, containerPort: 53, protocol: UDP}]
  readinessProbe: {httpGet: {path: /, port: http}}
  env: [{name: MODE, value: careful}, {name: SET, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]
  envFrom: [{configMapRef: {name: settings}}]`,
		},
		"Deployment worker": {
			"spec.template.spec.containers": "[{name: main, image: 'album:v1', env: [{name: B, value: b}, {name: A, value: a}]}]",
		},
	})
}
