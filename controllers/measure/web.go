// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// maxDocument is the size of a document.
	maxDocument = 64 << 10
	// maxDepth is how deep a document may be nested.
	maxDepth = 32
)

// web reads a document and checks it.
func (p *provider) web(ctx context.Context, request *plan.WebRequest) plan.Measured {
	condition, err := analysis.Compile(analysis.DocumentCondition, request.Condition)
	if err != nil {
		return failed(v1alpha1.ReasonInvalidMetric, "condition: %s", clean(err.Error(), maxText))
	}
	at, err := below(p.url, request.Path)
	if err != nil {
		return failed(v1alpha1.ReasonInvalidMetric, "path: %s", err)
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return failed(v1alpha1.ReasonInvalidMetric, "path: it cannot be used in a URL")
	}
	get.Header.Set("Accept", "application/json")
	got, problem := p.ask(ctx, get, maxDocument)
	if problem == nil {
		problem = p.refusal(got.Status)
	}
	if problem != nil {
		return *problem
	}
	if got.Status < 200 || got.Status > 299 {
		return failed(v1alpha1.ReasonQueryRejected, "the web provider %s answers to the path with status %d", p.Name, got.Status)
	}
	return judge(condition, got)
}

// judge checks a document.
func judge(condition analysis.Condition, got endpoint.Answer) plan.Measured {
	if got.IsCut {
		return noData("the document has more than %d KiB", maxDocument>>10)
	}
	var document any
	if err := json.Unmarshal(got.Body, &document); err != nil {
		return noData("the answer is not a JSON document")
	}
	if isDeeper(document, maxDepth) {
		return noData("the document is nested deeper than %d levels", maxDepth)
	}
	isGood, err := condition.Eval(document)
	switch {
	case errors.Is(err, analysis.ErrTooExpensive):
		return failed(v1alpha1.ReasonInvalidMetric, "%s", err)
	case err != nil:
		return noData("the condition cannot be evaluated for the document: %s", clean(err.Error(), maxText))
	}
	return judged(isGood, clean(string(got.Body), maxValue))
}

func isDeeper(value any, depth int) bool {
	if depth < 0 {
		return true
	}
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			if isDeeper(element, depth-1) {
				return true
			}
		}
	case map[string]any:
		for _, field := range value {
			if isDeeper(field, depth-1) {
				return true
			}
		}
	}
	return false
}

// below returns the URL of a path and a query below a URL. Whatever a server makes of the path, it is not outside: nothing in it
// can mean a parent directory, or is decoded twice.
func below(base *url.URL, path string) (*url.URL, error) {
	relative, err := url.Parse(path)
	if err != nil || len(path) > maxQuery {
		return nil, errors.New("it is not a path with a query, for example /checks?service=reviews")
	}
	query, err := url.ParseQuery(relative.RawQuery)
	if err != nil {
		return nil, errors.New("its query cannot be read: write & between parameters, and a percent sign as %25")
	}
	isOdd := func(r rune) bool {
		return r == '\\' || r == '%' || unicode.IsControl(r) || r == unicode.ReplacementChar
	}
	switch {
	case relative.Scheme != "" || relative.Host != "" || relative.User != nil || relative.Opaque != "" || relative.Fragment != "":
		return nil, errors.New("it must be a path and a query alone, for example /checks?service=reviews")
	case strings.Contains(relative.Path, "..") || strings.ContainsFunc(relative.Path, isOdd):
		return nil, errors.New(`it must not contain .., %, a backslash or a control character`)
	}
	at := *base
	at.Path = strings.TrimSuffix(base.Path, "/") + "/" + strings.TrimPrefix(relative.Path, "/")
	at.RawPath, at.RawQuery = "", query.Encode()
	return &at, nil
}
