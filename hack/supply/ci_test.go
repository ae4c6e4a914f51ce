// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestWorkflowRunsAllTests: the parallel jobs of the workflow are `make verify test-all`. A target that is added to
// test-all and not to the workflow would never run there.
func TestWorkflowRunsAllTests(t *testing.T) {
	content, err := os.ReadFile("../../.github/workflows/ci.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs struct {
			Test struct {
				Strategy struct{ Matrix struct{ Targets []string } }
			}
		}
	}
	if err := yaml.Unmarshal(content, &workflow); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(strings.Join(workflow.Jobs.Test.Strategy.Matrix.Targets, " "))
	want := append([]string{"verify"}, leaves(prerequisites(t), "test-all")...)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the workflow runs other targets than verify and test-all (-want +got):\n%s", diff)
	}
}

// prerequisites returns those targets of the Makefile that each target of tests depends on.
func prerequisites(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, match := range regexp.MustCompile(`(?m)^(test[a-z0-9-]*):([^#\n]*)`).FindAllStringSubmatch(string(content), -1) {
		found[match[1]] = slices.DeleteFunc(strings.Fields(match[2]), func(name string) bool { return name == "binaries" })
	}
	return found
}

// leaves returns the targets that a target consists of.
func leaves(prerequisites map[string][]string, target string) (all []string) {
	if len(prerequisites[target]) == 0 {
		return []string{target}
	}
	for _, next := range prerequisites[target] {
		all = append(all, leaves(prerequisites, next)...)
	}
	return all
}
