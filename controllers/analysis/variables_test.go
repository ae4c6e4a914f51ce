// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestExpand(t *testing.T) {
	values := map[string]string{
		VariableNamespace: "shop", VariableService: "reviews-canary", VariableWindow: "1m", VariableArgument + "code": "5..",
		VariableRollout: "{{namespace}}",
	}
	for text, want := range map[string]string{
		"":     "",
		"up":   "up",
		"a{b}": "a{b}",
		`requests{service=~"{{namespace}}-{{ service }}-.*", code=~"{{args.code}}"}`: `requests{service=~"shop-reviews-canary-.*", code=~"5.."}`,
		"rate(x{{{namespace}}}[{{window}}])":                                         "rate(x{shop}[1m])",
		"{{rollout}}":                                                                "{{namespace}}",
		"}} {{namespace}}":                                                           "}} shop",
	} {
		if got, err := Expand(text, values); err != nil || got != want {
			t.Errorf("%q is expanded to %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestExpandUnknown: an error names what is wrong and what can be written instead.
func TestExpandUnknown(t *testing.T) {
	values := map[string]string{VariableNamespace: "shop", VariableArgument + "code": "5.."}
	for text, want := range map[string]string{
		"{{namespaec}}":                   `unknown variable "namespaec": use one of args.code, namespace`,
		"{{args.kode}} {{x}} {{x}} {{x}}": `unknown variable "args.kode", "x": use one of args.code, namespace`,
		"{{}}":                            `unknown variable "": use one of args.code, namespace`,
		"{{Namespace}}":                   `unknown variable "Namespace": use one of args.code, namespace`,
		"{{namespace}} {{namespace} x":    `{{ without }} before "namespace} x": a variable is written as {{name}}`,
	} {
		if got, err := Expand(text, values); err == nil || err.Error() != want || got != "" {
			t.Errorf("%q: %q, %v; want %s", text, got, err, want)
		}
	}
}

func TestVariables(t *testing.T) {
	if got := Variables("{{ service }} {{args.a}} {{service}} {b}"); !slices.Equal(got, []string{"args.a", "service"}) {
		t.Errorf("%q", got)
	}
	if got := Variables("up"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// FuzzExpand: whatever a tenant writes, each variable is replaced by its value as it is, and all other text is kept.
func FuzzExpand(f *testing.F) {
	f.Add("{{a}}-{{b}}", "x")
	f.Add("{{{a}}}}", "{{b}}")
	f.Add("{{a}} {{b}", "")
	f.Fuzz(func(t *testing.T, text, value string) {
		same, lengths := map[string]string{}, map[string]string{}
		for _, name := range Variables(text) {
			same[name], lengths[name] = "{{"+name+"}}", value
		}
		expanded, err := Expand(text, same)
		if err == nil && expanded != text && !strings.ContainsFunc(text, unicode.IsSpace) {
			t.Errorf("%q is expanded to %q", text, expanded)
		}
		other, otherErr := Expand(text, lengths)
		length := len(variable.ReplaceAllLiteralString(text, "")) + len(value)*len(variable.FindAllString(text, -1))
		if (otherErr == nil) != (err == nil) || err == nil && len(other) != length {
			t.Errorf("%q is expanded to %q, %v", text, other, otherErr)
		}
	})
}
