// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestCompile checks that a condition that can never be evaluated is found before anything is measured, with a message on
// one line that has the position.
func TestCompile(t *testing.T) {
	for name, tc := range map[string]struct {
		kind       ConditionKind
		expression string
		want       string
	}{
		"a bound":              {NumberCondition, "result < 0.3", ""},
		"a whole number":       {NumberCondition, "result > 0 && result <= 1", ""},
		"a field":              {DocumentCondition, "result.failed == 0", ""},
		"any field":            {DocumentCondition, "result.passed", ""},
		"a macro":              {DocumentCondition, "result.checks.all(c, c.status == 'ok')", ""},
		"a number":             {NumberCondition, "result * 2.0", "the condition has the type double: it must be true or false"},
		"a field of a number":  {NumberCondition, "result.failed == 0", "type 'double' does not support field selection, at line 1, column 7"},
		"another variable":     {NumberCondition, "results < 1.0", "undeclared reference to 'results'"},
		"not CEL":              {NumberCondition, "result <", "at line 1, column"},
		"nothing":              {NumberCondition, "", "at line 1, column"},
		"nested":               {NumberCondition, strings.Repeat("(", 60) + "result" + strings.Repeat(")", 60) + " < 1.0", "recursion"},
		"long":                 {NumberCondition, "result < 1.0" + strings.Repeat(" ", 1024), "longer than 1024 characters"},
		"a regular expression": {DocumentCondition, "result.name.matches('[')", ""}, // found when it is evaluated
	} {
		_, err := Compile(tc.kind, tc.expression)
		switch {
		case (err == nil) != (tc.want == ""):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		case err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want %q on one line", name, err, tc.want)
		}
	}
}

// TestEval checks that a document that is not what the condition is about is an error, never a verdict.
func TestEval(t *testing.T) {
	for name, tc := range map[string]struct {
		expression, document string
		want                 bool
		fails                string
	}{
		"true":                {"result.failed == 0", `{"failed": 0}`, true, ""},
		"false":               {"result.failed == 0", `{"failed": 1}`, false, ""},
		"a missing field":     {"result.failed == 0", `{}`, false, "no such key: failed"},
		"a field that may":    {"!has(result.failed) || result.failed == 0", `{}`, true, ""},
		"no object":           {"result.failed == 0", `[]`, false, "unsupported index type"},
		"null":                {"result.failed == 0", `null`, false, "no such"},
		"beyond the end":      {"result[3] == 0", `[1]`, false, "index out of bounds"},
		"another type":        {"result.failed < 1", `{"failed": "none"}`, false, "no such overload"},
		"no bool":             {"result.passed", `{"passed": "yes"}`, false, "is a string for this document"},
		"a bool":              {"result.passed", `{"passed": true}`, true, ""},
		"a division":          {"1 / int(result.n) > 0", `{"n": 0}`, false, "division by zero"},
		"a bad pattern":       {"'x'.matches(result.p)", `{"p": "["}`, false, "missing closing"},
		"a list in all lists": {"result.all(a, result.all(b, result.all(c, a + b + c > 0)))", "[" + strings.Repeat("1,", 200) + "1]", false, ErrTooExpensive.Error()},
		"a string that grows": {"result.map(a, result.map(b, 'x')).size() > 0", "[" + strings.Repeat("1,", 2000) + "1]", false, ErrTooExpensive.Error()},
	} {
		condition, err := Compile(DocumentCondition, tc.expression)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var document any
		if err := json.Unmarshal([]byte(tc.document), &document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := condition.Eval(document)
		if got != tc.want || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: %t, %v, want %t, %q", name, got, err, tc.want, tc.fails)
		}
		if errors.Is(err, ErrTooExpensive) != (tc.fails == ErrTooExpensive.Error()) {
			t.Errorf("%s: %v is a wrong reason", name, err)
		}
	}
}

// TestEvalNumber checks that a number compares with whole numbers, too: result is a double, and 1 in CEL is not.
func TestEvalNumber(t *testing.T) {
	condition, err := Compile(NumberCondition, "result > 0 && result < 0.3")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[float64]bool{0: false, 0.1: true, 0.3: false} {
		if got, err := condition.Eval(value); got != want || err != nil {
			t.Errorf("%g: %t, %v", value, got, err)
		}
	}
}

// TestCheckSelector checks that a counter of a comparison is only a selector: anything else would be evaluated as a part of
// a larger query, with another meaning.
func TestCheckSelector(t *testing.T) {
	for selector, want := range map[string]bool{
		"http_requests_total":                    true,
		` job:errors:total{code=~"5..",}` + "\n": true,
		`{__name__="http_requests_total"}`:       true,
		`{"http.requests", code="5\"}\\"}`:       true,
		"x{a='}', b=`}#\\`}":                     true,
		"x{}":                                    true,
		"":                                       false,
		"  ":                                     false,
		"rate(x[5m])":                            false,
		"x[5m]":                                  false,
		"x offset 5m":                            false,
		"x or y":                                 false,
		`x{a="b"} or y{a="c"}`:                   false,
		`x{a="b"}) or (y`:                        false,
		"x # comment":                            false,
		"x{a=\"b\" # }\n}":                       false,
		`x{a="b}`:                                false,
		"x{a=`b}":                                false,
		"5":                                      false,
		"x{}{}":                                  false,
		"x @ 1":                                  false,
	} {
		if err := CheckSelector(selector); (err == nil) != want {
			t.Errorf("%q: %v", selector, err)
		}
	}
}

func FuzzCondition(f *testing.F) {
	f.Add("result.failed == 0", `{"failed": 0}`)
	f.Add("result.all(c, c.status == 'ok')", `[{"status": "ok"}]`)
	f.Fuzz(func(_ *testing.T, expression, document string) {
		var result any
		if json.Unmarshal([]byte(document), &result) != nil {
			result = document
		}
		for _, kind := range []ConditionKind{NumberCondition, DocumentCondition} {
			if condition, err := Compile(kind, expression); err == nil {
				_, _ = condition.Eval(result)
			}
		}
	})
}
