// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// The patches, and the keys that they set.
const (
	scriptsFile  = "argocd-cm.yaml"
	ignoreFile   = "argocd-cm-ignore.yaml"
	healthKey    = "resource.customizations.health.canaryrollout.dev_CanaryRollout"
	actionsKey   = "resource.customizations.actions.canaryrollout.dev_CanaryRollout"
	httpRouteKey = "resource.customizations.ignoreDifferences.gateway.networking.k8s.io_HTTPRoute"
	serviceKey   = "resource.customizations.ignoreDifferences.Service"
)

// actionNames are in the order of the ConfigMap.
var actionNames = []string{"promote", "promote-full", "abort", "retry", "pause", "resume"}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// bare is a file without its licence header.
func bare(t *testing.T, file string) string {
	t.Helper()
	_, body, found := strings.Cut(read(t, file), "SPDX-License-Identifier: Apache-2.0\n\n")
	if !found {
		t.Fatalf("%s has no licence header", file)
	}
	return body
}

// block is a key with a text of several lines.
func block(key, text string, indent int) string {
	margin := strings.Repeat(" ", indent)
	var lines strings.Builder
	fmt.Fprintf(&lines, "%s%s: |\n", margin, key)
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines.WriteString(margin + "  ")
		}
		lines.WriteString(line)
	}
	return lines.String()
}

const patchHead = `# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Made by go test ./config/argocd -update from the files beside it. To take it over:
#
#   kubectl -n argocd patch configmap argocd-cm --patch-file %s
#
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
data:
`

func scriptsPatch(t *testing.T) string {
	t.Helper()
	actions := block("discovery.lua", bare(t, "actions/discovery.lua"), 0) + "definitions:\n"
	for _, name := range actionNames {
		actions += "- name: " + name + "\n" + block("action.lua", bare(t, "actions/"+name+"/action.lua"), 2)
	}
	return fmt.Sprintf(patchHead, scriptsFile) + block(healthKey, bare(t, "health.lua"), 2) + block(actionsKey, actions, 2)
}

func ignorePatch(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(patchHead, ignoreFile) + block(httpRouteKey, bare(t, "ignore-httproute.yaml"), 2) +
		block(serviceKey, bare(t, "ignore-service.yaml"), 2)
}

// TestPatches keeps the patches what the files beside them say.
func TestPatches(t *testing.T) {
	for file, want := range map[string]string{scriptsFile: scriptsPatch(t), ignoreFile: ignorePatch(t)} {
		golden.Check(t, file, want)
	}
	found, err := filepath.Glob("actions/*/action.lua")
	if err != nil || len(found) != len(actionNames) {
		t.Errorf("%d actions, and these files: %v, %v", len(actionNames), found, err)
	}
}

// data is what a patch sets.
func data(t *testing.T, file string) map[string]string {
	t.Helper()
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.UnmarshalStrict([]byte(strings.Join(body(read(t, file)), "\n")), &configMap); err != nil {
		t.Fatal(err)
	}
	return configMap.Data
}

// body leaves what only the API server reads to it.
func body(text string) []string {
	lines := strings.Split(text, "\n")
	return lines[slices.Index(lines, "data:"):]
}
