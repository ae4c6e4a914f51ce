// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// healthExpressions are those of health.md for Flux, in the order in which it asks.
func healthExpressions(t *testing.T) [3]string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "health.md"), "```yaml fragment\nspec:\n  healthCheckExprs:\n")
	snippet, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("health.md has no healthCheckExprs")
	}
	var checks []struct{ APIVersion, Kind, InProgress, Failed, Current string }
	if err := yaml.UnmarshalStrict([]byte(snippet), &checks); err != nil || len(checks) != 1 {
		t.Fatalf("%v: %v", checks, err)
	}
	return [3]string{checks[0].InProgress, checks[0].Failed, checks[0].Current}
}

func holds(t *testing.T, expression string, object map[string]any) bool {
	t.Helper()
	env, err := cel.NewEnv(cel.Variable("status", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := program.Eval(map[string]any{"status": object["status"]})
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value.Value() == true
}

// scenes are objects with statuses that the planner made, by the files that its tests keep.
func scenes(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob("../controllers/plan/testdata/health/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scene is left: %v", err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		content, err := yaml.YAMLToJSON([]byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		objects[file] = &unstructured.Unstructured{}
		if err := objects[file].UnmarshalJSON(content); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

func stateOf(object *unstructured.Unstructured) string {
	state, _, _ := unstructured.NestedString(object.Object, "status", "state")
	return state
}

// TestHealthTable holds what the table says of kstatus and of the conditions against the planner's statuses.
func TestHealthTable(t *testing.T) {
	rows := map[string][]string{}
	for line := range strings.Lines(read(t, "health.md")) {
		if cells := strings.Split(line, " | "); len(cells) == 6 {
			for _, state := range strings.Split(strings.TrimPrefix(cells[0], "| "), ", ") {
				rows[state] = []string{cells[1], cells[3], cells[4], strings.TrimSuffix(cells[5], " |\n")}
			}
		}
	}
	seen := map[string]bool{}
	for file, object := range scenes(t) {
		result, err := status.Compute(object)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{result.Status.String()}
		for _, kind := range []string{"Ready", "Reconciling", "Stalled"} {
			got = append(got, conditionOf(object, kind))
		}
		if want := rows[stateOf(object)]; !slices.Equal(got, want) {
			t.Errorf("%s is %s: kstatus and conditions are %v, health.md says %v", file, stateOf(object), got, want)
		}
		seen[stateOf(object)] = true
	}
	if len(seen) != 9 {
		t.Errorf("the scenes have %d of 9 states: %v", len(seen), seen)
	}
}

func conditionOf(object *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if fields := condition.(map[string]any); fields["type"] == kind {
			return fields["status"].(string)
		}
	}
	return ""
}

// TestFluxExpressions holds what Flux makes of each state by the expressions that the documentation gives.
func TestFluxExpressions(t *testing.T) {
	expressions := healthExpressions(t)
	check := func(name string, object map[string]any, want string) {
		got := "InProgress"
		for i, status := range []string{"InProgress", "Failed", "Current"} {
			if holds(t, expressions[i], object) {
				got = status
				break
			}
		}
		if got != want {
			t.Errorf("%s: Flux reads %s, want %s", name, got, want)
		}
	}
	want := map[string]string{"Healthy": "Current", "Paused": "Current", "Aborted": "Failed", "Degraded": "Failed"}
	for file, object := range scenes(t) {
		check(file, object.Object, cmp.Or(want[stateOf(object)], "InProgress"))
	}
	check("no state yet", map[string]any{"status": map[string]any{"replicas": 0}}, "InProgress")
}
