// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/admission"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// edited returns the sample with YAML edits applied.
func edited(t *testing.T, edits string) []byte {
	t.Helper()
	object := sample.Object(t)
	if err := admission.Edit(object, edits); err != nil {
		t.Fatal(err)
	}
	content, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestRefused checks that lint reports what a real API server rejects: test/integration sends it the same edits.
func TestRefused(t *testing.T) {
	for name, tc := range admission.Refused {
		t.Run(name, func(t *testing.T) {
			manifests, found := read(t, Source{"rollout.yaml", edited(t, tc.Edits)})
			text := lines(found)
			if !strings.Contains(text, tc.Want) {
				t.Errorf("findings\n%sdo not contain\n  %s", text, tc.Want)
			}
			if len(manifests.Rollouts) > 0 {
				t.Error("taken for a good one")
			}
		})
	}
}

// TestRefusedTemplates checks that lint reports templates that the API server accepts and the operator holds.
func TestRefusedTemplates(t *testing.T) {
	for name, tc := range admission.RefusedTemplates {
		t.Run(name, func(t *testing.T) {
			manifests, found := read(t, Source{"rollout.yaml", edited(t, tc.Edits)})
			if text := lines(found); !strings.Contains(text, tc.Want) || len(manifests.Rollouts) > 0 {
				t.Errorf("findings\n%sdo not contain\n  %s", text, tc.Want)
			}
		})
	}
}

// TestHiddenVariable checks that lint, like a Deployment, only warns about a variable that is set twice.
func TestHiddenVariable(t *testing.T) {
	const want = "rollout.yaml:1: spec.template.spec.containers[0].env[0]: warning: variable A is set again in env[2], and the last value counts: remove this one\n"
	manifests, found := read(t, Source{"rollout.yaml", edited(t, admission.Container("env: [{name: A, value: a}, {name: B}, {name: A, value: b}]"))})
	if text := lines(found); text != want || len(manifests.Rollouts) != 1 {
		t.Errorf("findings\n%sare not\n%s", text, want)
	}
}

func TestAccepted(t *testing.T) {
	for name, edits := range admission.Accepted {
		t.Run(name, func(t *testing.T) {
			manifests, found := read(t, Source{"rollout.yaml", edited(t, edits)})
			if len(found) > 0 || len(manifests.Rollouts) != 1 {
				t.Errorf("refused:\n%s", lines(found))
			}
		})
	}
}

func read(t *testing.T, sources ...Source) (*Manifests, []Finding) {
	t.Helper()
	manifests, found, err := Read(t.Context(), sources, "")
	if err != nil {
		t.Fatal(err)
	}
	return manifests, found
}

func lines(found []Finding) string {
	var text strings.Builder
	for _, finding := range found {
		text.WriteString(finding.String() + "\n")
	}
	return text.String()
}
