// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A match is a compiled HTTPRouteMatch. All of its conditions must hold.
type match struct {
	path            func(string) bool
	method          string // empty for any
	headers, params []condition
	// rank orders matches of the same hostname, larger first: kind and length of the path, method, headers, parameters.
	rank [5]int
}

// A condition on one header or query parameter.
type condition struct {
	name  string
	holds func(string) bool
}

// Kinds of paths by precedence. The rank of regular expressions is implementation-specific.
const (
	rankPrefix = iota
	rankRegex
	rankExact
)

func compileMatch(m gatewayv1.HTTPRouteMatch) (match, error) {
	compiled := match{method: string(ptr.Deref(m.Method, ""))}
	path := ptr.Deref(m.Path, gatewayv1.HTTPPathMatch{})
	value := ptr.Deref(path.Value, "/")
	kind, err := compiled.setPath(ptr.Deref(path.Type, gatewayv1.PathMatchPathPrefix), value)
	if err != nil {
		return match{}, err
	}
	for _, h := range m.Headers {
		c, err := compileCondition(http.CanonicalHeaderKey(string(h.Name)), string(ptr.Deref(h.Type, "")), h.Value)
		if err != nil {
			return match{}, err
		}
		compiled.headers = addOnce(compiled.headers, c)
	}
	for _, q := range m.QueryParams {
		c, err := compileCondition(string(q.Name), string(ptr.Deref(q.Type, "")), q.Value)
		if err != nil {
			return match{}, err
		}
		compiled.params = addOnce(compiled.params, c)
	}
	compiled.rank = [5]int{kind, len(value), 0, len(compiled.headers), len(compiled.params)}
	if compiled.method != "" {
		compiled.rank[2] = 1
	}
	return compiled, nil
}

// addOnce keeps the first condition for a name: the Gateway API requires further ones to be ignored.
func addOnce(conditions []condition, added condition) []condition {
	for _, c := range conditions {
		if c.name == added.name {
			return conditions
		}
	}
	return append(conditions, added)
}

func (m *match) setPath(kind gatewayv1.PathMatchType, value string) (rank int, err error) {
	switch kind {
	case gatewayv1.PathMatchExact:
		m.path = func(path string) bool { return path == value }
		return rankExact, nil
	case gatewayv1.PathMatchPathPrefix:
		m.path = func(path string) bool { return hasPathPrefix(path, value) }
		return rankPrefix, nil
	case gatewayv1.PathMatchRegularExpression:
		m.path, err = wholly(value)
		return rankRegex, err
	default:
		return 0, fmt.Errorf("path type %s is not known", kind)
	}
}

// hasPathPrefix compares element by element: /abc is a prefix of /abc/d, but not of /abcd.
func hasPathPrefix(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, found := strings.CutPrefix(path, prefix)
	return found && (rest == "" || rest[0] == '/')
}

func compileCondition(name, kind, value string) (c condition, err error) {
	c.name = name
	switch kind {
	case "", "Exact":
		c.holds = func(got string) bool { return got == value }
	case "RegularExpression":
		c.holds, err = wholly(value)
	default:
		err = fmt.Errorf("%s has match type %s, which is not known", name, kind)
	}
	return c, err
}

// wholly returns a function that matches the expression against a whole value.
func wholly(expression string) (func(string) bool, error) {
	compiled, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", expression, err)
	}
	return compiled.MatchString, nil
}

func (m *match) holds(r *http.Request) bool {
	if !m.path(r.URL.Path) || m.method != "" && m.method != r.Method {
		return false
	}
	for _, c := range m.headers {
		values := r.Header.Values(c.name)
		if len(values) == 0 || !c.holds(strings.Join(values, ",")) {
			return false
		}
	}
	if len(m.params) == 0 {
		return true
	}
	query := r.URL.Query()
	for _, c := range m.params {
		if !query.Has(c.name) || !c.holds(query.Get(c.name)) {
			return false
		}
	}
	return true
}
