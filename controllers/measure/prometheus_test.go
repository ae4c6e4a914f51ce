// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// serving returns a Prometheus provider whose server answers with a handler.
func serving(t *testing.T, handler http.HandlerFunc) *provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return named(t, "{name: default, prometheus: {url: '"+server.URL+"/base/'}}")
}

// named returns the provider of one entry of the file.
func named(t *testing.T, entry string) *provider {
	t.Helper()
	providers, err := parseProviders([]byte("["+entry+"]"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers.byName {
		t.Cleanup(p.Client.CloseIdleConnections)
		return p
	}
	t.Fatal("no provider")
	return nil
}

// answering returns a Prometheus provider that answers with a status and a body.
func answering(t *testing.T, status int, body string) *provider {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// result returns the body of an answer.
func result(kind, result string) string {
	return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
}

// sums returns the answer to a comparison.
func sums(parts ...string) string {
	series := make([]string, 0, len(parts)/2)
	for i := 0; i < len(parts); i += 2 {
		series = append(series, `{"metric":{"canaryrollout_part":"`+parts[i]+`"},"value":[1,"`+parts[i+1]+`"]}`)
	}
	return result("vector", "["+strings.Join(series, ",")+"]")
}

// TestQuery checks what is sent: one query that has the four counts at one moment.
func TestQuery(t *testing.T) {
	var got http.Request
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		got = *r
		_, _ = w.Write([]byte(sums(partCanaryTotal, "120", partCanary, "3", partStableTotal, "1080", partStable, "2")))
	})
	from := time.Now().Add(-10 * time.Second)
	measured := p.measure(t.Context(), plan.Measurement{Compare: &plan.CompareRequest{
		From: from, Stable: plan.CounterPair{Total: "st", Part: "sp"}, Canary: plan.CounterPair{Total: `ct{a="}"}`, Part: "cp"},
	}})
	want := analysis.Counts{CanaryTotal: 120, CanaryBad: 3, StableTotal: 1080, StableBad: 2}
	if measured.Outcome != plan.OutcomeCounted || measured.Counts != want || measured.Value != "canary 3/120 bad, stable 2/1080" || measured.Problem != nil {
		t.Errorf("measured %+v", measured)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/base/api/v1/query" || got.UserAgent() != "canaryrollout" {
		t.Errorf("%s %s by %s", got.Method, got.URL.Path, got.UserAgent())
	}
	at, err := time.Parse("2006-01-02", "1970-01-01")
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := time.ParseDuration(got.Form.Get("time") + "s")
	if at = at.Add(seconds); err != nil || !at.Equal(measured.At) {
		t.Errorf("the query is about %v, the result about %v: %v", at, measured.At, err)
	}
	if age := time.Since(measured.At); age < defaultDelay || age > defaultDelay+5*time.Second {
		t.Errorf("it is about samples of %s ago: newer ones may not be stored yet", age)
	}
	offset := " offset " + measured.At.Sub(from.Truncate(time.Millisecond)).String()
	if milliseconds := strings.ReplaceAll(got.Form.Get("query"), "ms", "ms "); strings.Count(milliseconds, " offset ") != 12 {
		t.Errorf("no %s in %s", offset, milliseconds)
	}
	for _, part := range []string{`"canary_total"`, `"canary"`, `"stable_total"`, `"stable"`, `ct{a="}"} - ct{a="}"} offset `} {
		if !strings.Contains(got.Form.Get("query"), part) {
			t.Errorf("no %s in %s", part, got.Form.Get("query"))
		}
	}
}

// TestCompare checks the answers to a comparison. Only four numbers are counts.
func TestCompare(t *testing.T) {
	for name, tc := range map[string]struct {
		answer     string
		countsGood bool
		want       analysis.Counts
		outcome    plan.MeasurementOutcome
		problem    string
	}{
		"no bad ones":                {sums(partCanaryTotal, "10", partStableTotal, "20"), false, analysis.Counts{CanaryTotal: 10, StableTotal: 20}, plan.OutcomeCounted, ""},
		"no requests":                {sums(partCanaryTotal, "0", partStableTotal, "0"), false, analysis.Counts{}, plan.OutcomeCounted, ""},
		"good ones":                  {sums(partCanaryTotal, "10", partCanary, "7", partStableTotal, "20", partStable, "21"), true, analysis.Counts{CanaryTotal: 10, CanaryBad: 3, StableTotal: 20}, plan.OutcomeCounted, ""},
		"no good ones of the canary": {sums(partCanaryTotal, "10", partStableTotal, "20", partStable, "20"), true, analysis.Counts{CanaryTotal: 10, CanaryBad: 10, StableTotal: 20}, plan.OutcomeCounted, ""},
		"no good ones at all":        {sums(partCanaryTotal, "10", partStableTotal, "20"), true, analysis.Counts{}, plan.OutcomeNoData, "good selects no series"},
		"none to be good":            {sums(partCanaryTotal, "0", partStableTotal, "0"), true, analysis.Counts{}, plan.OutcomeCounted, ""},
		"no total of canary":         {sums(partCanary, "1", partStableTotal, "20"), false, analysis.Counts{}, plan.OutcomeNoData, "total selects no series of the canary"},
		"no total of stable":         {sums(partCanaryTotal, "1"), false, analysis.Counts{}, plan.OutcomeNoData, "total selects no series of the stable revision"},
		"nothing":                    {result("vector", "[]"), false, analysis.Counts{}, plan.OutcomeNoData, "total selects no series of the canary"},
		"NaN":                        {sums(partCanaryTotal, "NaN", partStableTotal, "20"), false, analysis.Counts{}, plan.OutcomeNoData, "a count of requests is NaN"},
		"infinite":                   {sums(partCanaryTotal, "+Inf", partStableTotal, "20"), false, analysis.Counts{}, plan.OutcomeNoData, "a count of requests is +Inf"},
		"negative":                   {sums(partCanaryTotal, "-1", partStableTotal, "20"), false, analysis.Counts{}, plan.OutcomeNoData, "a count of requests is -1"},
		"a part of the data":         {`{"status":"success","warnings":["store 1 is down"],` + sums(partCanaryTotal, "1", partStableTotal, "1")[len(`{"status":"success",`):], false, analysis.Counts{}, plan.OutcomeNoData, "Prometheus answers with a warning: store 1 is down"},
		"a histogram":                {result("vector", `[{"metric":{},"histogram":[1,{}]}]`), false, analysis.Counts{}, plan.OutcomeNoData, "the result of the query is a histogram"},
		"series of other names":      {sums("x", "1"), false, analysis.Counts{}, plan.OutcomeNoData, "total selects no series of the canary"},
	} {
		t.Run(name, func(t *testing.T) {
			got := answering(t, http.StatusOK, tc.answer).compare(t.Context(), &plan.CompareRequest{
				From: time.Now().Add(-time.Minute), CountsGood: tc.countsGood,
				Stable: plan.CounterPair{Total: "a", Part: "b"}, Canary: plan.CounterPair{Total: "c", Part: "d"},
			})
			if got.Outcome != tc.outcome || got.Counts != tc.want || got.At.IsZero() {
				t.Errorf("measured %+v", got)
			}
			checkProblem(t, got, tc.problem, v1alpha1.ReasonNoData)
		})
	}
}

func checkProblem(t *testing.T, got plan.Measured, want, reason string) {
	t.Helper()
	switch {
	case (got.Problem == nil) != (want == ""):
		t.Errorf("problem %+v, want %q", got.Problem, want)
	case got.Problem != nil && (got.Problem.Reason != reason || !strings.HasPrefix(got.Problem.Message, want)):
		t.Errorf("problem %+v, want %s %q", got.Problem, reason, want)
	}
}

// TestNoSelector checks that only series selectors are sent, since others would be part of a query with another meaning.
func TestNoSelector(t *testing.T) {
	p := serving(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for selector, want := range map[string]string{
		"a or b":                  "it is not a series selector",
		strings.Repeat("a", 4097): "it is longer than 4096 bytes",
	} {
		got := p.compare(t.Context(), &plan.CompareRequest{
			From: time.Now().Add(-time.Minute), Stable: plan.CounterPair{Total: "a", Part: "b"}, Canary: plan.CounterPair{Total: "c", Part: selector},
		})
		if got.Outcome != plan.OutcomeError || got.Problem.Reason != v1alpha1.ReasonQueryRejected || !strings.Contains(got.Problem.Message, want) {
			t.Errorf("measured %+v %+v", got, got.Problem)
		}
	}
}

// TestThreshold checks the answers to a query: only one number is judged.
func TestThreshold(t *testing.T) {
	between := plan.ThresholdRequest{Query: "up", Min: "0.1", Max: "0.3"}
	condition := plan.ThresholdRequest{Query: "up", Condition: "result < 1"}
	vectorOf := func(values ...string) string {
		series := make([]string, len(values))
		for i, value := range values {
			series[i] = `{"metric":{"__name__":"up"},"value":[1,"` + value + `"]}`
		}
		return result("vector", "["+strings.Join(series, ",")+"]")
	}
	for name, tc := range map[string]struct {
		request plan.ThresholdRequest
		status  int
		answer  string
		outcome plan.MeasurementOutcome
		// value is that of a usable answer, and the problem of another one.
		value, reason string
	}{
		"within":             {between, 200, vectorOf("0.2834567"), plan.OutcomeGood, "0.283457", ""},
		"at the bound":       {between, 200, vectorOf("0.3"), plan.OutcomeGood, "0.3", ""},
		"above":              {between, 200, vectorOf("0.31"), plan.OutcomeBad, "0.31", ""},
		"below":              {between, 200, result("scalar", `[1,"0"]`), plan.OutcomeBad, "0", ""},
		"a condition":        {condition, 200, vectorOf("0.5"), plan.OutcomeGood, "0.5", ""},
		"not fulfilled":      {condition, 200, vectorOf("1"), plan.OutcomeBad, "1", ""},
		"no sample":          {between, 200, vectorOf(), plan.OutcomeNoData, "the query has no result", v1alpha1.ReasonNoData},
		"two samples":        {between, 200, vectorOf("0.2", "0.2"), plan.OutcomeNoData, "the query has 2 results, where one is needed", v1alpha1.ReasonNoData},
		"NaN":                {between, 200, vectorOf("NaN"), plan.OutcomeNoData, "the result of the query is NaN", v1alpha1.ReasonNoData},
		"infinite":           {plan.ThresholdRequest{Query: "up", Min: "1"}, 200, vectorOf("+Inf"), plan.OutcomeNoData, "the result of the query is +Inf", v1alpha1.ReasonNoData},
		"a matrix":           {between, 200, result("matrix", "[]"), plan.OutcomeNoData, "the result of the query is a matrix", v1alpha1.ReasonNoData},
		"a string":           {between, 200, result("string", `[1,"0.2"]`), plan.OutcomeNoData, "the result of the query is a string", v1alpha1.ReasonNoData},
		"too long":           {between, 200, vectorOf("0." + strings.Repeat("2", maxAnswer)), plan.OutcomeNoData, "the answer to the query has more than 1024 KiB", v1alpha1.ReasonNoData},
		"a rejected query":   {between, 400, `{"status":"error","errorType":"bad_data","error":"parse error:\n\u001b[31munexpected character"}`, plan.OutcomeError, "Prometheus rejects the query: parse error: [31munexpected character", v1alpha1.ReasonQueryRejected},
		"a failed execution": {between, 422, `{"status":"error","errorType":"execution","error":"found duplicate series"}`, plan.OutcomeError, "Prometheus rejects the query: found duplicate series", v1alpha1.ReasonQueryRejected},
		"a long error":       {between, 400, `{"status":"error","error":"` + strings.Repeat("ä", 10000) + `"}`, plan.OutcomeError, "Prometheus rejects the query: ää", v1alpha1.ReasonQueryRejected},
		"a slow query":       {between, 503, `{"status":"error","errorType":"timeout","error":"x"}`, plan.OutcomeError, "the metric provider default does not answer: the query takes longer than 9s", v1alpha1.ReasonProviderUnreachable},
		"an internal error":  {between, 500, `{"status":"error","errorType":"internal","error":"x"}`, plan.OutcomeError, "the metric provider default does not answer: it answers with status 500", v1alpha1.ReasonProviderUnreachable},
		"overload":           {between, 503, "no healthy upstream", plan.OutcomeError, "the metric provider default does not answer: it answers with status 503", v1alpha1.ReasonProviderUnreachable},
		"too many requests":  {between, 429, "", plan.OutcomeError, "the metric provider default does not answer: it answers with status 429", v1alpha1.ReasonProviderUnreachable},
		"no credentials":     {between, 401, "s3cr3t", plan.OutcomeError, "the metric provider default does not answer: it refuses the credentials of the operator, with status 401", v1alpha1.ReasonProviderUnreachable},
		"no Prometheus":      {between, 404, "<html>s3cr3t", plan.OutcomeError, "the metric provider default does not answer: its answer, with status 404, is not one of Prometheus", v1alpha1.ReasonProviderUnreachable},
		"another document":   {between, 200, `{"data":"s3cr3t"}`, plan.OutcomeError, "the metric provider default does not answer: its answer, with status 200, is not one of Prometheus", v1alpha1.ReasonProviderUnreachable},
		"no CEL":             {plan.ThresholdRequest{Query: "up", Condition: "result <"}, 200, vectorOf("1"), plan.OutcomeError, "condition: ", v1alpha1.ReasonInvalidMetric},
		"no number":          {plan.ThresholdRequest{Query: "up", Max: "x"}, 200, vectorOf("1"), plan.OutcomeError, `max is "x": it must be a number`, v1alpha1.ReasonInvalidMetric},
		"a long query":       {plan.ThresholdRequest{Query: strings.Repeat("x", 4097), Max: "1"}, 200, vectorOf("1"), plan.OutcomeError, "the query is longer than 4096 bytes", v1alpha1.ReasonQueryRejected},
	} {
		t.Run(name, func(t *testing.T) {
			got := answering(t, tc.status, tc.answer).threshold(t.Context(), &tc.request)
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
			if len(got.Problem.Message) > 400 || strings.Contains(got.Problem.Message, "s3cr3t") {
				t.Errorf("%d bytes: %s", len(got.Problem.Message), got.Problem.Message)
			}
		})
	}
}

// TestUnreachable checks what is said of a provider that gives no answer. Addresses are not shown to authors of rollouts.
func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server does not see the end of the connection before
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	redirecting := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)
	for name, tc := range map[string]struct{ entry, want string }{
		"nobody":        {"prometheus: {url: '" + gone.URL + "'}", "connection refused"},
		"a certificate": {"prometheus: {url: '" + secure.URL + "'}", "its certificate is not accepted"},
		"no host":       {"prometheus: {url: 'http://nowhere.invalid'}", "its host cannot be resolved"},
		"no answer":     {"timeout: 50ms, prometheus: {url: '" + hanging.URL + "'}", "no answer within 50ms"},
		"a redirect":    {"httpConfig: {follow_redirects: true}, prometheus: {url: '" + redirecting.URL + "'}", "it redirects to another address, with status 307"},
		"no file":       {"httpConfig: {authorization: {credentials_file: missing}}, prometheus: {url: '" + hanging.URL + "'}", "a file with its credentials cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			got := named(t, "{name: default, "+tc.entry+"}").threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"})
			if got.Outcome != plan.OutcomeError || strings.Contains(got.Problem.Message, "127.0.0.1") {
				t.Errorf("measured %+v, %+v", got, got.Problem)
			}
			checkProblem(t, got, "the metric provider default does not answer: "+tc.want, v1alpha1.ReasonProviderUnreachable)
		})
	}
}

// TestCompareWithoutStable: during a bake there is no stable revision to compare with, and nothing is asked of it.
func TestCompareWithoutStable(t *testing.T) {
	var query string
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.FormValue("query")
		_, _ = w.Write([]byte(sums(partCanaryTotal, "10", partCanary, "1")))
	})
	got := p.compare(t.Context(), &plan.CompareRequest{From: time.Now().Add(-time.Minute), Canary: plan.CounterPair{Total: "c", Part: "d"}})
	if want := (analysis.Counts{CanaryTotal: 10, CanaryBad: 1}); got.Outcome != plan.OutcomeCounted || got.Counts != want || got.Value != "canary 1/10 bad" {
		t.Errorf("measured %+v", got)
	}
	if strings.Contains(query, partStable) {
		t.Errorf("asks for %s", query)
	}
}
