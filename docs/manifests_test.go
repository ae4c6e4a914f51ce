// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The words after ```yaml that mark a block as a part of a manifest.
const (
	// markSteps is for a list of steps.
	markSteps = "steps"
	// markFragment is for what is no object of a cluster by itself, such as a rule for Prometheus.
	markFragment = "fragment"
)

var (
	// yamlBlock is a code block of YAML: its mark and its content.
	yamlBlock = regexp.MustCompile("(?ms)^```yaml *([a-z]*)\\n(.*?)^```$")
	// separator is between the objects of a block.
	separator = regexp.MustCompile("(?m)^---$")
)

// TestManifests demands that every CanaryRollout and every list of steps in the documentation has only fields that there
// are. A reader copies them.
func TestManifests(t *testing.T) {
	rollouts, steps := 0, 0
	for _, page := range pages(t) {
		for _, block := range yamlBlock.FindAllStringSubmatch(read(t, page), -1) {
			found, err := checkBlock(block[1], block[2])
			if err != nil {
				t.Errorf("%s: %v, in the block\n%s", page, err, block[2])
			}
			rollouts += found
			if block[1] == markSteps {
				steps++
			}
		}
	}
	if rollouts < 2 || steps < 4 {
		t.Errorf("%d CanaryRollouts and %d lists of steps were found: does the pattern still fit?", rollouts, steps)
	}
}

// checkBlock says how many CanaryRollouts a block has.
func checkBlock(mark, content string) (int, error) {
	switch mark {
	case markSteps:
		var list []v1alpha1.Step
		if err := yaml.UnmarshalStrict([]byte(content), &list); err != nil {
			return 0, err
		}
		return 0, checkSteps(list)
	case markFragment:
		return 0, nil
	case "":
		return checkObjects(content)
	default:
		return 0, fmt.Errorf("no such mark: %s", mark)
	}
}

// checkSteps demands one verb in each step, as the API server does.
func checkSteps(list []v1alpha1.Step) error {
	for i, step := range list {
		verbs := 0
		for _, isSet := range []bool{step.SetCanaryScale != nil, step.SetWeight != nil, step.SetHeaderRoute != nil, step.SetMirrorRoute != nil, step.Pause != nil, step.Analysis != nil} {
			if isSet {
				verbs++
			}
		}
		if verbs != 1 {
			return fmt.Errorf("step %d has %d verbs, it must have one", i+1, verbs)
		}
	}
	return nil
}

func checkObjects(content string) (rollouts int, err error) {
	for _, document := range separator.Split(content, -1) {
		var decoded any
		if err := yaml.Unmarshal([]byte(document), &decoded); err != nil {
			return rollouts, err
		}
		object, _ := decoded.(map[string]any)
		switch apiVersion := object["apiVersion"]; {
		case object["kind"] == nil:
			return rollouts, errors.New("it is no object: write ```yaml steps for steps, ```yaml fragment for any other part")
		case object["kind"] != "CanaryRollout":
			continue
		case apiVersion != v1alpha1.GroupVersion.String():
			return rollouts, fmt.Errorf("apiVersion is %v", apiVersion)
		}
		rollouts++
		var rollout v1alpha1.CanaryRollout
		if err := yaml.UnmarshalStrict([]byte(document), &rollout); err != nil {
			return rollouts, err
		}
		if err := checkSteps(rollout.Spec.Steps); err != nil {
			return rollouts, err
		}
	}
	return rollouts, nil
}

// TestManifestsRefused shows that the test above can fail.
func TestManifestsRefused(t *testing.T) {
	const rollout = "apiVersion: canaryrollout.dev/v1alpha1\nkind: CanaryRollout\n"
	tests := map[string]struct{ mark, content, want string }{
		"unknown field":     {"", rollout + "spec: {steps: [{setWieght: 10}]}", "unknown field"},
		"unknown step":      {markSteps, "- experiment: {}", "unknown field"},
		"two verbs":         {"", rollout + "spec: {steps: [{setWeight: 10, pause: {}}]}", "step 1 has 2 verbs"},
		"no verb":           {markSteps, "- {}", "step 1 has 0 verbs"},
		"wrong version":     {"", "apiVersion: canaryrollout.dev/v1\nkind: CanaryRollout", "apiVersion"},
		"in a later object": {"", "kind: Service\n---\n" + rollout + "specs: {}", "unknown field"},
		"unmarked":          {"", "replicas: 4", "yaml fragment"},
		"unknown mark":      {"stpes", "- setWeight: 10", "no such mark"},
		"no YAML":           {"", "kind: {", "yaml"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := checkBlock(tc.mark, tc.content); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, expected one with %q", err, tc.want)
			}
		})
	}
}
