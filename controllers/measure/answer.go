// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// vector is the result of a query. A scalar is a vector with one sample.
type vector struct{ samples []sample }

type sample struct {
	labels map[string]string
	value  float64
}

// notOne explains why the result is not one number; empty if it is.
func (v vector) notOne() string {
	switch len(v.samples) {
	case 0:
		return "the query has no result: no series matches, or none has a sample"
	case 1:
		return ""
	default:
		return fmt.Sprintf("the query has %d results, where one is needed: aggregate them, for example with sum()", len(v.samples))
	}
}

// queryAnswer is an answer of the HTTP API of Prometheus.
type queryAnswer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// parse reads an answer of Prometheus.
func (p *provider) parse(got endpoint.Answer) (vector, *plan.Measured) {
	var parsed queryAnswer
	err := json.Unmarshal(got.Body, &parsed)
	switch {
	case err != nil || parsed.Status != "success" && parsed.Status != "error" || parsed.Status == "error" && parsed.Error == "":
		return vector{}, p.unreachable(fmt.Sprintf("its answer, with status %d, is not one of Prometheus: is its URL right?", got.Status))
	case parsed.Status == "error" || got.Status != http.StatusOK:
		result := failed(v1alpha1.ReasonQueryRejected, "Prometheus rejects the query: %s", clean(parsed.Error, maxText))
		return vector{}, &result
	case len(parsed.Warnings) > 0:
		// For example, a part of the data cannot be reached.
		result := noData("Prometheus answers with a warning: %s", clean(parsed.Warnings[0], maxText))
		return vector{}, &result
	}
	samples, problem := parseResult(parsed.Data.ResultType, parsed.Data.Result)
	if problem != "" {
		result := noData("%s", problem)
		return vector{}, &result
	}
	return vector{samples}, nil
}

// parseResult returns the samples of a result, or why it has none that can be used.
func parseResult(kind string, result json.RawMessage) ([]sample, string) {
	switch kind {
	case "scalar":
		var point []json.RawMessage
		if err := json.Unmarshal(result, &point); err != nil {
			return nil, "the result of the query cannot be read"
		}
		value, problem := parsePoint(point)
		return []sample{{value: value}}, problem
	case "vector":
		var series []struct {
			Metric map[string]string `json:"metric"`
			Value  []json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(result, &series); err != nil {
			return nil, "the result of the query cannot be read"
		}
		samples := make([]sample, len(series))
		for i, s := range series {
			value, problem := parsePoint(s.Value)
			if problem != "" {
				return nil, problem
			}
			samples[i] = sample{s.Metric, value}
		}
		return samples, ""
	default:
		return nil, fmt.Sprintf("the result of the query is a %s: it must be one number", clean(kind, maxName))
	}
}

// parsePoint reads a time and a value. A histogram has no value.
func parsePoint(point []json.RawMessage) (float64, string) {
	if len(point) == 0 {
		return 0, "the result of the query is a histogram: it must be one number"
	}
	var text string
	if len(point) != 2 || json.Unmarshal(point[1], &text) != nil {
		return 0, "the result of the query cannot be read"
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, "the result of the query is not a number"
	}
	return value, ""
}
