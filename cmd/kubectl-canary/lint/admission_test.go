// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/admission"
)

const samples = "../../../config/samples/reviews/"

// edited is the sample with edits, in YAML.
func edited(t *testing.T, edits string) []byte {
	t.Helper()
	content, err := os.ReadFile(samples + "canaryrollout.yaml")
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	if err := admission.Edit(object, edits); err != nil {
		t.Fatal(err)
	}
	content, err = yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestRefused holds lint against what a real API server refuses: test/integration asks one about the same edits.
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
	manifests, found, err := Read(t.Context(), sources)
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
