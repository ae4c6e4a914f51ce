// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// templateWith returns an AnalysisTemplate with one metric of the given fields, in flow style.
func templateWith(fields string) []byte {
	return fmt.Appendf(nil, `apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: a}
spec: {metrics: [{name: a, interval: 30s, %s}]}
`, fields)
}

func TestConditions(t *testing.T) {
	const failed = "failed"
	tests := map[string]struct {
		fields, want string
		// report is a part of the report.
		report string
	}{
		"at least":          {fields: `successCondition: "result[0] >= 0.95"`, want: `min "0.95"`},
		"at most":           {fields: `successCondition: result <= 5`, want: `max "5"`},
		"more":              {fields: `successCondition: "result[0] > 5"`, want: `condition "result > 5"`},
		"less":              {fields: `successCondition: "result[0] < 0.1"`, want: `condition "result < 0.1"`},
		"fails above":       {fields: `failureCondition: "result[0] > 5"`, want: `max "5"`},
		"fails from":        {fields: `failureCondition: "result[0] >= 5"`, want: `condition "result < 5"`},
		"fails below":       {fields: `failureCondition: "result[0] < 5"`, want: `min "5"`},
		"fails up to":       {fields: `failureCondition: "result[0] <= 5"`, want: `condition "result > 5"`},
		"negative":          {fields: `successCondition: "result[0] >= -1.5"`, want: `min "-1.5"`},
		"a conversion":      {fields: `successCondition: "asFloat(result[0]) >= 1"`, want: `min "1"`},
		"between":           {fields: `successCondition: "result[0] > 1 && result[0] < 2.5"`, want: `condition "result > 1.0 && result < 2.5"`},
		"words":             {fields: `successCondition: "not (result[0] == 1) and result[0] != 2"`, want: `condition "! (result == 1.0) && result != 2.0"`},
		"fails outside":     {fields: `failureCondition: "result[0] < 1 or result[0] > 2"`, want: `condition "!(result < 1.0 || result > 2.0)"`},
		"empty is good":     {fields: `successCondition: "len(result) == 0 || result[0] < 3"`, want: `condition "result < 3"`, report: "loss: an answer without data"},
		"empty is bad":      {fields: `successCondition: "len(result) > 0 and result[0] >= 3"`, want: `min "3"`, report: "loss: an answer without data"},
		"NaN is good":       {fields: `successCondition: "isNaN(result[0]) || result[0] >= 3"`, want: `min "3"`, report: "loss: an answer without data"},
		"NaN is bad":        {fields: `successCondition: "!isNaN(result[0]) && result[0] >= 3"`, want: `min "3"`, report: "loss: an answer without data"},
		"a default":         {fields: `successCondition: "default(result, 0) <= 3"`, want: `max "3"`, report: "loss: an answer without data"},
		"both, complements": {fields: `successCondition: "result[0] < 3", failureCondition: "result[0] >= 3"`, want: `condition "result < 3"`, report: "note: what is not good is bad here"},
		"both, and between": {fields: `successCondition: "result[0] < 3", failureCondition: "result[0] > 5"`, want: `condition "result < 3"`, report: "failureCondition: loss: a result that is neither good nor bad"},
		"none":              {fields: `count: 2`, want: `condition "true"`, report: "note: there is no condition"},
		"a predicate":       {fields: `successCondition: "all(result, # < 1)"`, want: failed, report: "successCondition: error: the condition cannot be converted to CEL"},
		"an argument":       {fields: `successCondition: "result[0] < {{args.most}}"`, want: failed, report: "successCondition: loss: arguments can only be in queries"},
		"not a condition":   {fields: `successCondition: "result[0]"`, want: failed, report: "the condition has the type double"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, templateWith(tc.fields+", provider: {prometheus: {query: up}}"))
			got := failed
			for _, object := range result.Objects {
				for _, name := range []string{"min", "max", "condition"} {
					if value := get(object.root, "spec", "threshold", name); value != nil {
						got = fmt.Sprintf("%s %q", name, value.Value)
					}
				}
			}
			if got != tc.want || !strings.Contains(report, tc.report) {
				t.Errorf("got %s, want %s, and %q in the report:\n%s", got, tc.want, tc.report, report)
			}
		})
	}
}

func TestQueries(t *testing.T) {
	tests := map[string]struct{ query, want, window string }{
		"no range":            {query: `up`, want: `up`},
		"a range":             {query: `sum(rate(a[5m]))`, want: `sum(rate(a[{{window}}]))`, window: "5m"},
		"days":                {query: `sum(rate(a[1d]))`, want: `sum(rate(a[{{window}}]))`, window: "24h"},
		"the same range":      {query: `rate(a[2m]) / rate(b[ 2m ])`, want: `rate(a[{{window}}]) / rate(b[{{window}}])`, window: "2m"},
		"two ranges":          {query: `rate(a[2m]) / rate(b[1h])`, want: `rate(a[2m]) / rate(b[1h])`, window: "1h"},
		"a subquery":          {query: `max_over_time(a[5m:30s])`, want: `max_over_time(a[5m:30s])`, window: "5m"},
		"brackets in strings": {query: `a{b="[5m]",c='[1m]'}`, want: `a{b="[5m]",c='[1m]'}`},
		"an argument":         {query: `a{b="{{ args.theService }}"}`, want: `a{b="{{args.the-service}}"}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, templateWith(fmt.Sprintf("successCondition: result < 1, provider: {prometheus: {query: %q}}", tc.query)))
			if len(result.Objects) != 1 {
				t.Fatalf("%d objects, report:\n%s", len(result.Objects), report)
			}
			threshold := get(result.Objects[0].root, "spec", "threshold")
			if diff := cmp.Diff([]string{tc.want, tc.window}, []string{text(get(threshold, "query")), text(get(threshold, "window"))}); diff != "" {
				t.Errorf("query and window differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWebMetrics(t *testing.T) {
	tests := map[string]struct{ fields, want string }{
		"a path and a query": {
			`successCondition: result.ok, provider: {web: {url: "https://a.example.com/b?c={{args.d}}"}}`,
			`{"condition":"result.ok","interval":"30s","path":"/b?c={{args.d}}","provider":"a-example-com"}`,
		},
		"the root": {
			`successCondition: result.ok, provider: {web: {url: "http://a:8080"}}`,
			`{"condition":"result.ok","interval":"30s","provider":"a-8080"}`,
		},
		"a part of the document": {
			`successCondition: "result > 0.9 && result <= 1", provider: {web: {url: "http://a/", jsonPath: "{$.b[0]['c d'].e-f}"}}`,
			`{"condition":"result.b[0][\"c d\"][\"e-f\"] > 0.9 && result.b[0][\"c d\"][\"e-f\"] <= 1","interval":"30s","path":"/","provider":"a"}`,
		},
		"a text": {
			`successCondition: "result == 'result'", provider: {web: {url: "http://a/", jsonPath: "{$.result}"}}`,
			`{"condition":"result.result == 'result'","interval":"30s","path":"/","provider":"a"}`,
		},
		"a path with a condition": {`successCondition: result, provider: {web: {url: "http://a/", jsonPath: "{$.a[?(@.b)]}"}}`, ""},
		"no URL":                  {`successCondition: result, provider: {web: {url: "ftp://a/"}}`, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, templateWith(tc.fields))
			if tc.want == "" {
				if len(result.Objects) > 0 || ExitCode(result.Report) != 2 {
					t.Errorf("it was converted:\n%s", report)
				}
				return
			}
			if diff := cmp.Diff(tc.want, fieldOf(t, result, "CanaryMetric", "spec", "web")); diff != "" {
				t.Errorf("the metric differs (-want +got):\n%s\nreport:\n%s", diff, report)
			}
		})
	}
}

func TestIdentifier(t *testing.T) {
	for given, want := range map[string]string{
		"success-rate": "success-rate", "successRate": "success-rate", "Share of 5xx (%)": "share-of-5xx", "5xx": "m-5xx", "": "m", "日本": "m",
		"a_b.c": "a-b-c", strings.Repeat("a", 31) + "-b": strings.Repeat("a", 31),
	} {
		if got := identifier(given, 32); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// TestUniqueMetrics checks that two metrics of the same name can be in one analysis.
func TestUniqueMetrics(t *testing.T) {
	metric := "{metrics: [{name: a, provider: {job: {spec: {}}}}]}"
	content := fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: a}\nspec: %s\n---\n"+
		"apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: b}\nspec: %s\n---\n", metric, metric) +
		rolloutWith(routed("[{setWeight: 5}, {analysis: {templates: [{templateName: a}, {templateName: b}, {templateName: a}]}}]"))
	result, _, _ := converted(t, []byte(content))
	const want = `[{"setWeight":5},{"analysis":{"duration":"30m","metrics":[` +
		`{"metricRef":{"name":"a"},"name":"a"},{"metricRef":{"name":"b"},"name":"a-2"}]}}]`
	if diff := cmp.Diff(want, fieldOf(t, result, "CanaryRollout", "spec", "steps")); diff != "" {
		t.Errorf("steps differ (-want +got):\n%s", diff)
	}
}

// TestProviders checks that the first address is the default provider, and another one has a name of its own.
func TestProviders(t *testing.T) {
	template := func(name, address string) string {
		return fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: %s}\n"+
			"spec: {metrics: [{name: a, provider: {prometheus: {address: %q, query: up}}}]}\n---\n", name, address)
	}
	result, _, _ := converted(t, []byte(template("a", "http://one:9090")+template("b", "https://two.example.com")+template("c", "http://one:9090")))
	var got []string
	for _, object := range result.Objects {
		got = append(got, text(get(object.root, "spec", "threshold", "provider")))
	}
	if diff := cmp.Diff([]string{"", "two-example-com", ""}, got); diff != "" {
		t.Errorf("providers differ (-want +got):\n%s", diff)
	}
}
