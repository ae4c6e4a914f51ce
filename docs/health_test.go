// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"sigs.k8s.io/yaml"
)

// healthExpressions are those of health.md for Flux, in the order in which it asks.
func healthExpressions(t *testing.T) [3]string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "health.md"), "```yaml\nspec:\n  healthCheckExprs:\n")
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
	files, err := filepath.Glob("../controllers/plan/testdata/health/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scene is left: %v", err)
	}
	want := map[any]string{"Healthy": "Current", "Paused": "Current", "Aborted": "Failed", "Degraded": "Failed"}
	for _, file := range files {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(read(t, file)), &object); err != nil {
			t.Fatal(err)
		}
		status, known := want[object["status"].(map[string]any)["state"]]
		if !known {
			status = "InProgress"
		}
		check(file, object, status)
	}
	check("no state yet", map[string]any{"status": map[string]any{"replicas": 0}}, "InProgress")
}
