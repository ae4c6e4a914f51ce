// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// fuzzed returns a provider of any answers, without a connection.
func fuzzed(f *testing.F, kind string, status *int, body *[]byte) *provider {
	f.Helper()
	providers, err := parseProviders([]byte("[{name: default, requestsPerSecond: 1000, "+kind+": {url: 'http://default'}}]"), "")
	if err != nil {
		f.Fatal(err)
	}
	p := providers.byName["default"]
	p.Requests.SetLimit(1e9)
	p.Client = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return reply(*status, string(*body)), nil
	})}
	return p
}

// checkBounds checks what any result must be: of known outcomes, with short texts on one line.
func checkBounds(t *testing.T, got plan.Measured) {
	t.Helper()
	hasProblem := got.Outcome == plan.OutcomeNoData || got.Outcome == plan.OutcomeError
	isUsable := got.Outcome == plan.OutcomeCounted || got.Outcome == plan.OutcomeGood || got.Outcome == plan.OutcomeBad
	if hasProblem == isUsable || (got.Problem != nil) != hasProblem || got.At.IsZero() {
		t.Fatalf("measured %+v", got)
	}
	texts := []string{got.Value}
	if got.Problem != nil {
		texts = append(texts, got.Problem.Message)
	}
	for _, text := range texts {
		if len(text) > 2*maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
	}
}

func FuzzPrometheus(f *testing.F) {
	var status int
	var body []byte
	p := fuzzed(f, "prometheus", &status, &body)
	for _, seed := range []string{
		one, sums(partCanaryTotal, "120", partCanary, "3", partStableTotal, "1080", partStable, "2"), result("vector", "[]"),
		result("vector", `[{"metric":{},"histogram":[1,{}]}]`), result("scalar", "[1]"), `{"status":"error","error":"x"}`, "", "null", "[[[[", `{"data":{"result":{}}}`,
	} {
		f.Add(200, []byte(seed))
		f.Add(400, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, anyStatus int, anyBody []byte) {
		status, body = anyStatus, anyBody
		p.breaker.leave(false, "", time.Time{})
		checkBounds(t, p.threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"}))
		p.breaker.leave(false, "", time.Time{})
		got := p.compare(t.Context(), &plan.CompareRequest{
			From: time.Now().Add(-time.Minute), CountsGood: len(anyBody)%2 == 0,
			Canary: plan.CounterPair{Total: "a", Part: "b"}, Stable: plan.CounterPair{Total: "c", Part: "d"},
		})
		checkBounds(t, got)
		if got.Outcome == plan.OutcomeCounted && (got.Counts.CanaryBad < 0 || got.Counts.StableBad < 0 || got.Counts.CanaryTotal < 0) {
			t.Fatalf("counts %+v", got.Counts)
		}
	})
}

func FuzzWeb(f *testing.F) {
	var status int
	var body []byte
	p := fuzzed(f, "web", &status, &body)
	for _, seed := range []string{`{"failed":0}`, `{"failed":"x"}`, "", "null", "[1,2]", strings.Repeat("[", 100), `{"failed":1e999}`, `"\u0000\ud800"`} {
		f.Add(200, []byte(seed), "/checks?a=b")
	}
	f.Add(404, []byte("x"), "/../x")
	f.Fuzz(func(t *testing.T, anyStatus int, anyBody []byte, path string) {
		status, body = anyStatus, anyBody
		p.breaker.leave(false, "", time.Time{})
		checkBounds(t, p.web(t.Context(), &plan.WebRequest{Condition: "result.failed == 0", Path: path}))
		base := &url.URL{Scheme: "http", Host: "checks.infra.svc", Path: "/api"}
		if at, err := below(base, path); err == nil {
			again, err := url.Parse(at.String())
			if err != nil || again.Host != base.Host || !strings.HasPrefix(again.Path, "/api/") || strings.Contains(again.Path, "..") || again.User != nil {
				t.Fatalf("%q is %v, %v", path, at, err)
			}
		}
	})
}

// FuzzSelector checks that a text that passes for a series selector is one operand of a query: quotes and braces are closed in it.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{"x", `x{a="b"}`, "x{a=`}`}", `x{a='\''}`, "x or y", `{a="#"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, selector string) {
		if analysis.CheckSelector(selector) != nil {
			return
		}
		var quote rune
		isOpen, isEscaped := false, false
		for _, r := range selector {
			switch {
			case isEscaped:
				isEscaped = false
			case quote != 0:
				isEscaped = r == '\\' && quote != '`'
				if r == quote {
					quote = 0
				}
			case r == '"' || r == '\'' || r == '`':
				quote = r
			case r == '{' || r == '}':
				isOpen = r == '{'
			case !isOpen && strings.ContainsRune("()[]+-*/%^<>!=~,#@", r):
				t.Fatalf("%q has an operator", selector)
			}
		}
		if quote != 0 || isOpen || isEscaped {
			t.Fatalf("%q is not closed", selector)
		}
	})
}
