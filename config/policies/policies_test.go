// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policies tests the admission policies as far as no API server is needed. What they refuse is tested in
// test/integration.
package policies

import (
	"os"
	"strings"
	"testing"

	celgo "github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// The first versions of Kubernetes that have these policies.
var (
	oldestValidating = version.MajorMinor(1, 30)
	oldestMutating   = version.MajorMinor(1, 36)
)

type expression struct {
	name, text string
	types      []*celgo.Type
}

func (e expression) GetName() string            { return e.name }
func (e expression) GetExpression() string      { return e.text }
func (e expression) ReturnTypes() []*celgo.Type { return e.types }

// TestExpressionsCompile: with failurePolicy Fail, an expression that an API server cannot compile refuses every request.
func TestExpressionsCompile(t *testing.T) {
	compiled := 0
	for _, file := range []string{"commands.yaml", "manager.yaml"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
			if !strings.Contains(document, "\nkind: ValidatingAdmissionPolicy\n") {
				continue
			}
			if err := yaml.UnmarshalStrict([]byte(document), policy); err != nil {
				t.Fatal(err)
			}
			compiled += compile(t, policy)
		}
	}
	if compiled < 15 {
		t.Errorf("only %d expressions were found", compiled)
	}
}

// TestMutationsCompile is TestExpressionsCompile for the policy that names users.
func TestMutationsCompile(t *testing.T) {
	content, err := os.ReadFile("users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, _, _ := strings.Cut(string(content), "\n---\n")
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{}
	if err := yaml.UnmarshalStrict([]byte(document), policy); err != nil {
		t.Fatal(err)
	}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(oldestMutating))
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range policy.Spec.Variables {
		named := expression{variable.Name, variable.Expression, []*celgo.Type{celgo.AnyType, celgo.DynType}}
		if result := compiler.CompileAndStoreVariable(named, cel.OptionalVariableDeclarations{}, environment.NewExpressions); result.Error != nil {
			t.Errorf("%s: %v", variable.Name, result.Error)
		}
	}
	if len(policy.Spec.Mutations) != 1 {
		t.Fatalf("%d mutations", len(policy.Spec.Mutations))
	}
	mutation := &patch.JSONPatchCondition{Expression: policy.Spec.Mutations[0].JSONPatch.Expression}
	options := cel.OptionalVariableDeclarations{HasPatchTypes: true}
	if result := compiler.CompileCELExpression(mutation, options, environment.NewExpressions); result.Error != nil {
		t.Error(result.Error)
	}
}

func compile(t *testing.T, policy *admissionregistrationv1.ValidatingAdmissionPolicy) int {
	t.Helper()
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(oldestValidating))
	if err != nil {
		t.Fatal(err)
	}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	check := func(text string, result cel.CompilationResult) {
		if result.Error != nil {
			t.Errorf("%s: %s\n%v", policy.Name, text, result.Error)
		}
	}
	for _, variable := range policy.Spec.Variables {
		named := expression{variable.Name, variable.Expression, []*celgo.Type{celgo.AnyType, celgo.DynType}}
		check(variable.Expression, compiler.CompileAndStoreVariable(named, options, environment.NewExpressions))
	}
	var conditions []string
	for _, condition := range policy.Spec.MatchConditions {
		conditions = append(conditions, condition.Expression)
	}
	for _, validation := range policy.Spec.Validations {
		conditions = append(conditions, validation.Expression)
	}
	for _, condition := range conditions {
		boolean := expression{text: condition, types: []*celgo.Type{celgo.BoolType}}
		check(condition, compiler.CompileCELExpression(boolean, options, environment.NewExpressions))
	}
	return len(policy.Spec.Variables) + len(conditions)
}
