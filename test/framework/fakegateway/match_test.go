// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// to returns the end of a rule that sends everything to the named backend.
func to(name string) string { return "backendRefs: [{name: " + name + ", port: 80}]" }

func TestPrecedence(t *testing.T) {
	older := parseRoute(t, "older", `
hostnames: [shop.example.com]
rules:
- {matches: [{path: {type: PathPrefix, value: /}}], `+to("root")+`}
- {matches: [{path: {type: PathPrefix, value: /cart}}], `+to("cart")+`}
- {matches: [{path: {type: PathPrefix, value: /cart}, method: DELETE}], `+to("method")+`}
- {matches: [{path: {type: PathPrefix, value: /cart}, headers: [{name: role, value: qa}]}], `+to("header")+`}
- {matches: [{path: {type: PathPrefix, value: /cart}, headers: [{name: role, value: qa}, {name: eu, type: RegularExpression, value: "[a-z]{2}"}]}], `+to("headers")+`}
- {matches: [{path: {type: PathPrefix, value: /cart}, queryParams: [{name: v, value: "2"}]}], `+to("query")+`}
- {matches: [{path: {type: Exact, value: /cart/exact}}], `+to("exact")+`}
- {matches: [{path: {type: RegularExpression, value: "/cart/[0-9]+"}}], `+to("regex")+`}
- {matches: [{path: {type: PathPrefix, value: /twice}}], `+to("first")+`}
- {matches: [{path: {type: PathPrefix, value: /twice}}], `+to("second")+`}
`)
	younger := parseRoute(t, "a-younger", `
hostnames: [shop.example.com, "*.example.com"]
rules: [{matches: [{path: {type: PathPrefix, value: /twice}}], `+to("younger")+`}]
`)
	younger.CreationTimestamp.Time = then.Add(time.Second)
	anyHost := parseRoute(t, "any", "rules: [{matches: [{path: {type: Exact, value: /twice/exact}}], "+to("any")+"}]")
	table := newTable([]*gatewayv1.HTTPRoute{anyHost, younger, older}, newBackends())

	for name, tc := range map[string]struct {
		method, target string
		headers        map[string]string
		want           string
	}{
		"prefix":                           {target: "/other", want: "root"},
		"longer prefix":                    {target: "/cart/x", want: "cart"},
		"prefix ends at an element":        {target: "/cartoon", want: "root"},
		"prefix itself":                    {target: "/cart", want: "cart"},
		"method":                           {method: http.MethodDelete, target: "/cart", want: "method"},
		"method before headers":            {method: http.MethodDelete, target: "/cart", headers: map[string]string{"role": "qa"}, want: "method"},
		"header":                           {target: "/cart", headers: map[string]string{"Role": "qa"}, want: "header"},
		"header is exact":                  {target: "/cart", headers: map[string]string{"role": "qa1"}, want: "cart"},
		"more headers":                     {target: "/cart", headers: map[string]string{"role": "qa", "eu": "de"}, want: "headers"},
		"a regex matches the whole header": {target: "/cart", headers: map[string]string{"role": "qa", "eu": "deu"}, want: "header"},
		"headers before parameters":        {target: "/cart?v=2", headers: map[string]string{"role": "qa"}, want: "header"},
		"parameter":                        {target: "/cart?v=2", want: "query"},
		"parameter is exact":               {target: "/cart?v=22", want: "cart"},
		"exact path before headers":        {target: "/cart/exact", headers: map[string]string{"role": "qa"}, want: "exact"},
		"regex path":                       {target: "/cart/12", want: "regex"},
		"a regex matches the whole path":   {target: "/cart/12/x", want: "cart"},
		"older route, then first rule":     {target: "/twice/exact", want: "first"},
		"wildcard host":                    {target: "http://a.b.example.com/twice", want: "younger"},
		"wildcard needs a label":           {target: "http://example.com/twice", want: ""},
		"any host":                         {target: "http://elsewhere.org/twice/exact", want: "any"},
		"a host is matched by name":        {target: "http://SHOP.example.com:8000/cart", want: "cart"},
		"no rule":                          {target: "http://elsewhere.org/", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			target := tc.target
			if target[0] == '/' {
				target = "http://shop.example.com" + target
			}
			request := httptest.NewRequestWithContext(t.Context(), tc.method, target, nil)
			for header, value := range tc.headers {
				request.Header.Set(header, value)
			}
			got := ""
			if rule := table.find(request); rule != nil {
				got = rule.backends[0].name
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ spec, want string }{
		"fine": {spec: "rules: [{matches: [{path: {value: /}}], " + to("a") + "}]"},
		"a header rule": {spec: "rules: [{name: canaryrollout-reviews-qa-0, matches: [{headers: [{name: role, value: qa}]}], " +
			"backendRefs: [{name: a, port: 80, weight: 997}]}]"},
		"regex":    {"rules: [{matches: [{headers: [{name: a, type: RegularExpression, value: '('}]}]}]", "rule 0: regular expression \"(\": error parsing regexp: missing closing ): `^(?:()$`"},
		"names":    {"rules: [{name: x}, {name: x}]", "two rules have the name x"},
		"filter":   {"rules: [{filters: [{type: URLRewrite}]}]", "rule 0: filter URLRewrite is not known"},
		"ref":      {"rules: [{backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite}]}]}]", "rule 0: the filters of backendRef a are not known"},
		"weight":   {"rules: [{backendRefs: [{name: a, port: 80, weight: 1000001}]}]", "rule 0: weight 1000001 of a is not within 0 and 1000000"},
		"negative": {"rules: [{backendRefs: [{name: a, port: 80, weight: -1}]}]", "rule 0: weight -1 of a is not within 0 and 1000000"},
		"retry":    {"rules: [{retry: {attempts: 3}}]", "rule 0: retry and sessionPersistence are not known"},
		"empty":    {"rules: []", "there are 0 rules, and 1 to 16 may be"},
	} {
		if got := refusal(parseRoute(t, "r", tc.spec)); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func refusal(route *gatewayv1.HTTPRoute) string {
	if err := refusalOf(route); err != nil {
		return err.Error()
	}
	return ""
}

func TestLimits(t *testing.T) {
	rules := func(n, matches int) *gatewayv1.HTTPRoute {
		route := &gatewayv1.HTTPRoute{}
		for range n {
			route.Spec.Rules = append(route.Spec.Rules, gatewayv1.HTTPRouteRule{Matches: make([]gatewayv1.HTTPRouteMatch, matches)})
		}
		return route
	}
	for name, tc := range map[string]struct {
		route *gatewayv1.HTTPRoute
		want  string
	}{
		"most rules":         {route: rules(16, 8)},
		"rules":              {rules(17, 1), "there are 17 rules, and 1 to 16 may be"},
		"most matches":       {route: rules(2, 64)},
		"matches":            {rules(1, 65), "rule 0: there are 65 matches, and 64 may be"},
		"matches altogether": {rules(16, 9), "there are 144 matches, and 128 may be"},
	} {
		if got := refusal(tc.route); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
