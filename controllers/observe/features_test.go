// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// aClass returns a GatewayClass and its Gateway of the same name, in the namespace infra.
func aClass(name string, features ...gatewayv1.FeatureName) []client.Object {
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, feature := range features {
		class.Status.SupportedFeatures = append(class.Status.SupportedFeatures, gatewayv1.SupportedFeature{Name: feature})
	}
	return []client.Object{class, &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: name},
		Spec:       gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(name)},
	}}
}

// TestLacksMirror checks that a mirror is refused only if a class publishes its features without it. What cannot be
// read, or is not published, refuses nothing, and every answer is cached for a while.
func TestLacksMirror(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	parent := func(fields ...string) map[string]any {
		ref := map[string]any{"namespace": "infra"}
		for i := 0; i < len(fields); i += 2 {
			ref[fields[i]] = fields[i+1]
		}
		return ref
	}
	const message = "HTTPRoute reviews: GatewayClass plain of Gateway infra/plain publishes its supported features, without HTTPRouteRequestPercentageMirror: remove setMirrorRoute from the steps, or use another gateway"
	for name, tc := range map[string]struct {
		kind    string
		parents []any
		denied  bool
		want    string
		reads   int
	}{
		"supported":           {"HTTPRoute", []any{parent("name", "rich")}, false, "", 2},
		"not supported":       {"HTTPRoute", []any{parent("name", "plain")}, false, message, 2},
		"one of two":          {"HTTPRoute", []any{parent("name", "rich"), parent("name", "plain", "kind", "Gateway")}, false, message, 4},
		"nothing published":   {"HTTPRoute", []any{parent("name", "silent")}, false, "", 2},
		"no such Gateway":     {"HTTPRoute", []any{parent("name", "gone")}, false, "", 1},
		"in another place":    {"HTTPRoute", []any{map[string]any{"name": "plain"}}, false, "", 1},
		"no right to read":    {"HTTPRoute", []any{parent("name", "plain")}, true, "", 1},
		"a ListenerSet":       {"HTTPRoute", []any{parent("name", "plain", "kind", "ListenerSet")}, false, "", 0},
		"a Service":           {"HTTPRoute", []any{parent("name", "plain", "group", "", "kind", "Service")}, false, "", 0},
		"no name for it":      {"GRPCRoute", []any{parent("name", "plain")}, false, "", 0},
		"no parents":          {"HTTPRoute", nil, false, "", 0},
		"parents of no sense": {"HTTPRoute", []any{"x", nil, map[string]any{"name": int64(7)}}, false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			reads := 0
			objects := append(append(aClass("rich", "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"),
				aClass("plain", "HTTPRouteRequestMirror")...), aClass("silent")...)
			live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
					reads++
					if tc.denied {
						return errors.New("forbidden")
					}
					return c.Get(ctx, key, into, opts...)
				},
			}).Build()
			s := &observation{Observer: &Observer{Features: NewFeatures(live)}}
			route := &unstructured.Unstructured{Object: map[string]any{
				"kind": tc.kind, "metadata": map[string]any{"namespace": "bookinfo", "name": "reviews"},
				"spec": map[string]any{"parentRefs": tc.parents},
			}}
			for range 2 { // the second one is cached
				var want *plan.Problem
				if tc.want != "" {
					want = &plan.Problem{Reason: v1alpha1.ReasonMirrorNotSupported, Message: tc.want}
				}
				if diff := cmp.Diff(want, s.lacks(t.Context(), route, mirroring)); diff != "" {
					t.Errorf("problem (-want +got):\n%s", diff)
				}
			}
			if reads != tc.reads {
				t.Errorf("%d live reads, want %d", reads, tc.reads)
			}
		})
	}
}

// TestUnsupported checks that each thing that steps use is looked up by its own feature, and only if they use it.
func TestUnsupported(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(aClass("plain", "HTTPRouteRequestPercentageMirror")...).Build()
	obj := parse(t, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: reviews, namespace: bookinfo}, spec: {parentRefs: [{name: plain, namespace: infra}]}}`)
	get := gatewayv1.HTTPMethodGet
	matching := func(match v1alpha1.RequestMatch) v1alpha1.Step {
		return v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{match}}}
	}
	for name, tc := range map[string]struct {
		step     v1alpha1.Step
		mirrored bool
		want     string // the missing feature
	}{
		"a header":        {step: matching(v1alpha1.RequestMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "a", Value: "b"}}})},
		"a query":         {step: matching(v1alpha1.RequestMatch{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "a", Value: "b"}}}), want: "HTTPRouteQueryParamMatching"},
		"a method":        {step: matching(v1alpha1.RequestMatch{Method: &get}), want: "HTTPRouteMethodMatching"},
		"a mirror":        {step: v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: ptr.To[int32](5)}}},
		"a second mirror": {step: v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: ptr.To[int32](5)}}, mirrored: true, want: "HTTPRouteRequestMultipleMirrors"},
	} {
		t.Run(name, func(t *testing.T) {
			rollout := &Rollout{}
			rollout.Spec.Steps = []v1alpha1.Step{tc.step}
			s := &observation{Observer: &Observer{Features: NewFeatures(live)}, Snapshot: &Snapshot{Rollout: rollout}}
			unsupported := s.unsupported(t.Context(), obj, route.Reading{Mirrored: tc.mirrored})
			got := ""
			for _, problem := range []*plan.Problem{unsupported.Mirror, unsupported.QueryParams, unsupported.Method} {
				got += ptr.Deref(problem, plan.Problem{}).Message
			}
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("problem = %q, want one about %q", got, tc.want)
			}
		})
	}
}

// TestAnswersByClass checks that the controller of a Gateway's class decides which answer counts (T4), and that a class
// is read only if several have answered, and once for a while: a former controller's entry must not block a release.
func TestAnswersByClass(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		t.Fatal(err)
	}
	objects := aClass("plain")
	objects[0].(*gatewayv1.GatewayClass).Spec.ControllerName = "x/own"
	reads := 0
	live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			reads++
			return c.Get(ctx, key, into, opts...)
		},
	}).Build()
	s := &observation{
		Observer: &Observer{Features: NewFeatures(live)}, ports: map[string][]int32{},
		Snapshot: &Snapshot{Rollout: &Rollout{}, Pairs: map[Object]route.Pair{}},
	}
	entry := func(controller string, generation int) string {
		return fmt.Sprintf(`{controllerName: %s, parentRef: {name: plain, namespace: infra}, conditions: [
			{type: Accepted, status: "True", observedGeneration: %[2]d}, {type: ResolvedRefs, status: "True", observedGeneration: %[2]d}]}`, controller, generation)
	}
	seen := func(entries string) plan.Route {
		return s.observedRoute(t.Context(), parse(t, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: reviews, namespace: bookinfo, generation: 4},
			spec: {parentRefs: [{name: plain, namespace: infra}]}, status: {parents: [`+entries+`]}}`))
	}
	if route := seen(entry("x/own", 4)); route.AcceptedGeneration != 4 || reads != 0 {
		t.Errorf("one answer: generation %d after %d reads, want 4 after none", route.AcceptedGeneration, reads)
	}
	for range 2 {
		route := seen(entry("x/own", 3) + "," + entry("x/former", 4))
		if route.AcceptedGeneration != 3 || route.Ignored != "Gateway infra/plain (x/former)" || reads != 2 {
			t.Errorf("two answers: generation %d, ignored %q, after %d reads; want 3 and the former one's after 2", route.AcceptedGeneration, route.Ignored, reads)
		}
	}
}
