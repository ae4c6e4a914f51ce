// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestBelow checks that the path of a rollout stays below the URL that the administrator has named, in every spelling.
func TestBelow(t *testing.T) {
	base, err := url.Parse("http://checks.infra.svc/api/")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                                 "http://checks.infra.svc/api/",
		"/":                                "http://checks.infra.svc/api/",
		"/checks?service=reviews&b=x y%26": "http://checks.infra.svc/api/checks?b=x+y%26&service=reviews",
		"/a%2Fb":                           "http://checks.infra.svc/api/a/b",
		"/a%20b":                           "http://checks.infra.svc/api/a%20b",
		"/a?x=../..":                       "http://checks.infra.svc/api/a?x=..%2F..",
		"/../admin":                        "",
		"/a/%2e%2e/%2e%2e/admin":           "",
		"/a/..%2f..%2fadmin":               "",
		"/%252e%252e/admin":                "",
		"/..;/admin":                       "",
		`/..\admin`:                        "",
		"//evil.example/x":                 "",
		"http://evil.example/x":            "",
		"@evil.example/x":                  "http://checks.infra.svc/api/@evil.example/x",
		"/x#fragment":                      "",
		"/x\r\nHost: evil":                 "",
		"/%0d%0aHost:evil":                 "",
		"/%00":                             "",
		"/%zz":                             "",
		"/x?a=%zz":                         "",
		"/" + strings.Repeat("x", 5000):    "",
	} {
		got, err := below(base, path)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q is %v, %v, want %q", path, got, err, want)
		}
	}
}

// TestWeb checks the answers of a web endpoint: only a document that the condition is about is judged.
func TestWeb(t *testing.T) {
	for name, tc := range map[string]struct {
		condition, path string
		status          int
		body            string
		outcome         plan.MeasurementOutcome
		// value is that of a usable answer, and the problem of another one.
		value, reason string
	}{
		"good":                 {"result.failed == 0", "/checks", 200, `{"failed":0}`, plan.OutcomeGood, `{"failed":0}`, ""},
		"bad":                  {"result.failed == 0", "/checks", 200, "{\n  \"failed\": 3\n}", plan.OutcomeBad, `{ "failed": 3 }`, ""},
		"a long document":      {"result.failed == 0", "/checks", 200, `{"failed":3,"log":"` + strings.Repeat("ä", 1000) + `"}`, plan.OutcomeBad, `{"failed":3,"log":"` + strings.Repeat("ä", 39) + "...", ""},
		"no content":           {"result.failed == 0", "/checks", 204, "", plan.OutcomeNoData, "the answer is not a JSON document", v1alpha1.ReasonNoData},
		"a missing field":      {"result.failed == 0", "/checks", 200, `{"passed":3}`, plan.OutcomeNoData, "the condition cannot be evaluated for the document: no such key: failed", v1alpha1.ReasonNoData},
		"a page":               {"result.failed == 0", "/checks", 200, "<html>", plan.OutcomeNoData, "the answer is not a JSON document", v1alpha1.ReasonNoData},
		"two documents":        {"result.failed == 0", "/checks", 200, `{"failed":0}{"failed":1}`, plan.OutcomeNoData, "the answer is not a JSON document", v1alpha1.ReasonNoData},
		"a large document":     {"result.failed == 0", "/checks", 200, `{"failed":0,"x":"` + strings.Repeat("x", maxDocument) + `"}`, plan.OutcomeNoData, "the document has more than 64 KiB", v1alpha1.ReasonNoData},
		"a deep document":      {"result.size() > 0", "/checks", 200, strings.Repeat("[", 40) + strings.Repeat("]", 40), plan.OutcomeNoData, "the document is nested deeper than 32 levels", v1alpha1.ReasonNoData},
		"a very deep document": {"result.size() > 0", "/checks", 200, strings.Repeat("[", 20000) + strings.Repeat("]", 20000), plan.OutcomeNoData, "the answer is not a JSON document", v1alpha1.ReasonNoData},
		"an unknown path":      {"result.failed == 0", "/checks", 404, `{"failed":0}`, plan.OutcomeError, "the web provider checks answers to the path with status 404", v1alpha1.ReasonQueryRejected},
		"no credentials":       {"result.failed == 0", "/checks", 403, `{"failed":0}`, plan.OutcomeError, "the metric provider checks does not answer: it refuses the credentials", v1alpha1.ReasonProviderUnreachable},
		"a failure":            {"result.failed == 0", "/checks", 500, `{"failed":0}`, plan.OutcomeError, "the metric provider checks does not answer: it answers with status 500", v1alpha1.ReasonProviderUnreachable},
		"no CEL":               {"result.", "/checks", 200, `{}`, plan.OutcomeError, "condition: ", v1alpha1.ReasonInvalidMetric},
		"outside":              {"true", "/../checks", 200, `{}`, plan.OutcomeError, "path: it must not contain ..", v1alpha1.ReasonInvalidMetric},
		"expensive":            {"result.all(a, result.all(b, result.all(c, true)))", "/checks", 200, "[" + strings.Repeat("1,", 200) + "1]", plan.OutcomeError, "the condition takes too much", v1alpha1.ReasonInvalidMetric},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/checks" {
					t.Errorf("a request to %s", r.URL.Path)
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			t.Cleanup(server.Close)
			p := named(t, "{name: checks, web: {url: '"+server.URL+"/api'}}")
			got := p.measure(t.Context(), plan.Measurement{Web: &plan.WebRequest{Condition: tc.condition, Path: tc.path}})
			if got.Outcome != tc.outcome {
				t.Errorf("measured %+v, %+v", got, got.Problem)
			}
			if tc.reason == "" {
				if got.Value != tc.value || got.Problem != nil {
					t.Errorf("measured %+v", got)
				}
				return
			}
			checkProblem(t, got, tc.value, tc.reason)
		})
	}
}

// TestRedirect checks that a web endpoint cannot send the manager elsewhere.
func TestRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	t.Cleanup(server.Close)
	got := named(t, "{name: checks, web: {url: '"+server.URL+"'}}").web(t.Context(), &plan.WebRequest{Condition: "true", Path: "/"})
	checkProblem(t, got, "the metric provider checks does not answer: it redirects to another address, with status 302", v1alpha1.ReasonProviderUnreachable)
}
