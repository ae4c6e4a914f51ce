// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package routekinds

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// mixed is a route whose rule has several matches, with all kinds of conditions, and filters that change requests and
// answers.
var mixed = harness.Kind{Name: "HTTPRoute", Hosts: true, Path: "/reviews/0", StableOnly: "/stable-only", Rules: `
  - matches:
    - {path: {type: PathPrefix, value: /reviews}}
    - {path: {type: Exact, value: /ratings}, method: GET, headers: [{name: x-tenant, type: RegularExpression, value: "a|b"}]}
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-served-by, value: books}]}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /v1}}}
    timeouts: {request: 20s}
    backendRefs:
    - {name: reviews-canary, port: 9080}
    - {name: reviews-stable, port: 9080}
  - matches: [{path: {type: PathPrefix, value: /stable-only}}]
    backendRefs: [{name: reviews-stable, port: 9080}]
`}

// matchOfEachKind has a match of each kind.
func matchOfEachKind() v1alpha1.Step {
	pattern := ptr.To(gatewayv1.HeaderMatchRegularExpression)
	return v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{
		{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "qa"}}},
		{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x-user", Type: pattern, Value: "dev-[0-9]+"}}},
		{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "canary", Value: "1"}}},
		{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "build", Type: ptr.To(gatewayv1.QueryParamMatchRegularExpression), Value: "pr-[0-9]+"}}},
		{Method: ptr.To(gatewayv1.HTTPMethodPut), Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x-beta", Value: "yes"}}},
	}}}
}

// TestAudience selects requests by header, query parameter and method, exactly and by patterns, on a rule with its
// own matches and filters: matching requests reach the canary, no others do, and the filters apply to both. An edit
// of the rule is followed, and nothing is left behind. Argo Rollouts only matches headers, and on a host that several
// workloads share its header route also matched requests to the others (argo-rollouts#3879).
func TestAudience(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Kind: &mixed, Rate: rate, Steps: []v1alpha1.Step{builder.Scale(1), matchOfEachKind(), builder.Hold()}})
	a.SetImage(builder.ImageV2)
	a.CheckHeaderRoute(a.WaitForPause("3/3"), a.Get().Status.Revision)
	for name, tc := range map[string]struct {
		method, target string
		headers        map[string]string
		canary         bool
	}{
		"nothing":                       {"GET", "/reviews/0", nil, false},
		"a header":                      {"GET", "/reviews/0", map[string]string{"role": "qa"}, true},
		"its name in capitals":          {"GET", "/reviews/0", map[string]string{"ROLE": "qa"}, true},
		"another value":                 {"GET", "/reviews/0", map[string]string{"role": "dev"}, false},
		"a header by a pattern":         {"GET", "/reviews/0", map[string]string{"x-user": "dev-7"}, true},
		"one that does not fit":         {"GET", "/reviews/0", map[string]string{"x-user": "ops-7"}, false},
		"a parameter":                   {"GET", "/reviews/0?canary=1", nil, true},
		"a parameter of another value":  {"GET", "/reviews/0?canary=2", nil, false},
		"a parameter by a pattern":      {"GET", "/reviews/0?build=pr-12", nil, true},
		"a parameter that does not fit": {"GET", "/reviews/0?build=main", nil, false},
		"a method and a header":         {"PUT", "/reviews/0", map[string]string{"x-beta": "yes"}, true},
		"a method alone":                {"PUT", "/reviews/0", nil, false},
		"the header alone":              {"GET", "/reviews/0", map[string]string{"x-beta": "yes"}, false},
		"the rule's other match":        {"GET", "/ratings", map[string]string{"x-tenant": "a"}, false},
		"both of that":                  {"GET", "/ratings?canary=1", map[string]string{"x-tenant": "b"}, true},
		"another rule":                  {"GET", "/stable-only?canary=1", map[string]string{"role": "qa"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				want := answer{http.StatusOK, "v1", "books"}
				if tc.canary {
					want.version = "v2"
				}
				if !strings.HasPrefix(tc.target, "/r") {
					want.servedBy = ""
				}
				if got := ask(t, a, tc.method, tc.target, tc.headers); got != want {
					t.Fatalf("%+v, want %+v", got, want)
				}
			}
		})
	}
	if got := ask(t, a, "GET", "/ratings?canary=1", nil); got.status != http.StatusNotFound {
		t.Errorf("a request that no rule of the user's matches is answered: %+v", got)
	}
	a.EditRoute(func(rules []any) {
		rule := rules[0].(map[string]any)
		rule["matches"] = append(rule["matches"].([]any), map[string]any{"path": map[string]any{"type": "Exact", "value": "/new"}})
	})
	edited := time.Now()
	a.Eventually("the canary for the new match", func() (bool, string) {
		got := ask(t, a, "GET", "/new?canary=1", nil)
		return got.version == "v2", got.version
	})
	t.Logf("the edit was followed within %s", time.Since(edited).Round(time.Millisecond))
	if got := ask(t, a, "GET", "/new", nil); got.version != "v1" {
		t.Errorf("the new match itself leads to %+v", got)
	}
	a.CheckAborted(a.Get().Status.Revision, a.Annotate(v1alpha1.AbortAnnotation, "true"))
}

// answer is what the test checks of an answer: the version that gave it, and the effect of the rule's filter.
type answer struct {
	status            int
	version, servedBy string
}

// ask sends one request through the gateway.
func ask(t *testing.T, a *harness.App, method, target string, headers map[string]string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+cluster.GatewayAddress+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = a.Host()
	for name, value := range headers {
		request.Header[name] = []string{value} // in its original spelling
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return answer{response.StatusCode, response.Header.Get(backend.VersionHeader), response.Header.Get("x-served-by")}
}

// TestGRPCMethod selects the calls of one method of a service. Its name is long because Traefik 3.6 prefers the
// longer of two expressions, and the one for any method is longer than Get. By the Gateway API the named method takes
// precedence.
func TestGRPCMethod(t *testing.T) {
	t.Parallel()
	step := v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "testers", Matches: []v1alpha1.RequestMatch{{
		GRPCMethod: &gatewayv1.GRPCMethodMatch{Service: ptr.To("shop.Reviews"), Method: ptr.To("GetForTesters")},
	}}}}
	a := harness.Start(t, env, harness.Options{Kind: &harness.GRPCRoute, Rate: rate, Steps: []v1alpha1.Step{builder.Scale(1), step, builder.Hold()}})
	testers := a.Load(harness.GRPCRoute, "/shop.Reviews/GetForTesters", rate)
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	paused := a.WaitForPause("3/3").Add(harness.Settle)
	canary := a.Get().Status.Revision
	a.Eventually("calls of the method", func() (bool, string) {
		stats := testers.Since(paused)
		return stats.Sent >= 20, stats.String()
	})
	if stats := testers.Since(paused); stats.RevisionShare(canary) != 1 {
		t.Errorf("calls of GetForTesters reach %v", stats.ByRevision)
	}
	if stats := a.Traffic.Since(paused); stats.RevisionShare(stable) != 1 {
		t.Errorf("calls of Get reach %v", stats.ByRevision)
	}
	a.CheckAborted(canary, a.Annotate(v1alpha1.AbortAnnotation, "true"))
	testers.Stop()
	for _, failure := range testers.Failures() {
		t.Errorf("lost: %s", failure)
	}
}
