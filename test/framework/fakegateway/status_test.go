// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// accepted returns what the operator reads from a route's status.
func accepted(t *testing.T, object *gatewayv1.HTTPRoute) route.Acceptance {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	found := &unstructured.Unstructured{Object: content}
	found.SetKind("HTTPRoute")
	return route.Accepted(found, nil)
}

// TestBehaviours writes each kind of status for generation 3 of a route, and compares what the operator reads from it
// with the meaning of the behaviour.
func TestBehaviours(t *testing.T) {
	for name, tc := range map[string]struct {
		behaviour Behaviour
		want      route.Acceptance
	}{
		"well-behaved": {Behaviour{}, route.Acceptance{Generation: 3}},
		"late": {Behaviour{StatusLag: time.Second}, route.Acceptance{
			Generation: 2, Pending: "Gateway default/one has accepted generation 2, not yet 3; Gateway default/two has accepted generation 2, not yet 3"}},
		"silent": {Behaviour{Silent: true}, route.Acceptance{
			Generation: 2, Pending: "Gateway default/one has accepted generation 2, not yet 3; Gateway default/two has accepted generation 2, not yet 3"}},
		"behind": {Behaviour{Behind: true}, route.Acceptance{
			Generation: 2, Pending: "Gateway default/one has accepted generation 2, not yet 3; Gateway default/two has accepted generation 2, not yet 3"}},
		"missing": {Behaviour{Generations: GenerationsMissing}, route.Acceptance{
			Unversioned: true, Pending: "Gateway default/one accepts the route, but does not report which generation; " +
				"Gateway default/two accepts the route, but does not report which generation"}},
		"zero": {Behaviour{Generations: GenerationsZero}, route.Acceptance{
			Unversioned: true, Pending: "Gateway default/one accepts the route, but does not report which generation; " +
				"Gateway default/two accepts the route, but does not report which generation"}},
		"not accepted by one": {Behaviour{Refusals: map[string]Refusal{"two": {"Accepted", "NotAllowedByListeners", "no"}}}, route.Acceptance{
			Pending: "Gateway default/two: Accepted is False for generation 3 (NotAllowedByListeners: no)"}},
		"not resolved by one": {Behaviour{Refusals: map[string]Refusal{"one": {"ResolvedRefs", "BackendNotFound", "what?"}}}, route.Acceptance{
			Pending: "Gateway default/one: ResolvedRefs is False for generation 3 (BackendNotFound: what?)"}},
		"partially invalid": {Behaviour{PartiallyInvalid: true}, route.Acceptance{Refused: 3,
			Pending: "Gateway default/one: PartiallyInvalid is True for generation 3 (UnsupportedValue: a rule was dropped); " +
				"Gateway default/two: PartiallyInvalid is True for generation 3 (UnsupportedValue: a rule was dropped)"}},
		"second agrees": {Behaviour{Second: SecondAgrees}, route.Acceptance{Generation: 3}},
		"second refuses": {Behaviour{Second: SecondRefuses}, route.Acceptance{Generation: 3,
			Ignored: "Gateway default/one (test.canaryrollout.dev/second), Gateway default/two (test.canaryrollout.dev/second)"}},
		"down": {Behaviour{Flap: time.Second}, route.Acceptance{
			Pending: "Gateway default/one: Accepted is False for generation 3 (Pending: the proxies are out of reach); " +
				"Gateway default/two: Accepted is False for generation 3 (Pending: the proxies are out of reach)"}},
		"leftovers": {Behaviour{Leftovers: true}, route.Acceptance{Generation: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTwoParents(t)
			b.Behave(tc.behaviour)
			b.edit("r", toBackend("b"))
			b.after(0)
			if diff := cmp.Diff(tc.want, accepted(t, b.read("r"))); diff != "" {
				t.Error(diff)
			}
			b.Behave(Behaviour{})
			b.after(0)
			if got, want := accepted(t, b.read("r")), (route.Acceptance{Generation: 3}); got != want {
				t.Errorf("recovered: got %v, want %v", got, want)
			}
			if got := b.read("r").Status.Parents; len(got) != 2 {
				t.Errorf("something is left of it: %v", got)
			}
		})
	}
}

// newTwoParents serves a route at generation 2, which both of its parents have accepted.
func newTwoParents(t *testing.T) *bench {
	t.Helper()
	object := parseRoute(t, "r", "rules: [{"+to("a")+"}]")
	object.Generation = 2
	object.Spec.ParentRefs = append(object.Spec.ParentRefs, gatewayv1.ParentReference{Name: "two", Namespace: ptr.To(gatewayv1.Namespace("default"))})
	b := newBench(t, Options{Others: []string{"two"}}, object)
	b.seeService(service("a"))
	b.seeService(service("b"))
	b.seeRoute(b.read("r"))
	b.after(0)
	if got, want := accepted(t, b.read("r")), (route.Acceptance{Generation: 2}); got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
	return b
}

func TestFlap(t *testing.T) {
	b := newTwoParents(t)
	b.Behave(Behaviour{Flap: 10 * time.Second})
	for i, want := range []struct {
		after int // seconds
		is    bool
	}{{0, false}, {9, false}, {1, true}, {9, true}, {1, false}, {10, true}} {
		b.clock.Step(time.Duration(want.after) * time.Second)
		if next := b.report(t.Context(), b.clock.Now()); !next.After(b.clock.Now()) || next.Sub(b.clock.Now()) > 10*time.Second {
			t.Errorf("moment %d: the next look is after %s", i, next.Sub(b.clock.Now()))
		}
		if is := accepted(t, b.read("r")).Generation == 2; is != want.is {
			t.Errorf("moment %d: accepted is %t", i, is)
		}
	}
}

// TestBrokenReference: a broken reference is reported with any behaviour, and no longer once the Service exists.
func TestBrokenReference(t *testing.T) {
	b := newTwoParents(t)
	b.edit("r", toBackend("missing"))
	b.after(0)
	if got := accepted(t, b.read("r")).Pending; !strings.Contains(got, "ResolvedRefs is False for generation 3 (BackendNotFound: Service missing does not exist)") {
		t.Error(got)
	}
	b.seeService(service("missing"))
	b.after(0)
	if got, want := accepted(t, b.read("r")), (route.Acceptance{Generation: 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestOthersAreKept: entries of other controllers are kept, and parents that are not ours get no entry.
func TestOthersAreKept(t *testing.T) {
	b := newTwoParents(t)
	foreign := gatewayv1.RouteParentStatus{ParentRef: gatewayv1.ParentReference{Name: "theirs"}, ControllerName: "example.com/other", Conditions: []metav1.Condition{{
		Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Time{Time: then},
	}}}
	object := b.read("r")
	object.Status.Parents = append(object.Status.Parents, foreign)
	if err := b.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	b.edit("r", func(object *gatewayv1.HTTPRoute) {
		object.Spec.ParentRefs = append(object.Spec.ParentRefs[:1], gatewayv1.ParentReference{Name: "theirs"})
	})
	b.after(0)
	got := b.read("r").Status.Parents
	if len(got) != 2 || got[1].ParentRef.Name != "one" {
		t.Fatalf("got %v", got)
	}
	if diff := cmp.Diff(foreign, got[0], cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
}

// TestConflict: a status is never written over a newer route, and is written as soon as the newer route is known.
func TestConflict(t *testing.T) {
	b := newTwoParents(t)
	stale := b.read("r")
	b.edit("r", toBackend("b"))
	newer := b.read("r")
	b.record(client.ObjectKeyFromObject(stale)).object = stale
	if next := b.report(t.Context(), b.clock.Now()); next.IsZero() {
		t.Error("it is not tried again")
	}
	if got := accepted(t, b.read("r")).Generation; got != 2 {
		t.Errorf("generation %d was reported by way of an old view", got)
	}
	b.seeRoute(newer)
	b.after(again)
	if got := accepted(t, b.read("r")).Generation; got != 3 {
		t.Errorf("generation %d is reported, want 3", got)
	}
}

func TestEncode(t *testing.T) {
	parents := []gatewayv1.RouteParentStatus{{ParentRef: gatewayv1.ParentReference{Name: "one"}, ControllerName: "a/b", Conditions: []metav1.Condition{
		{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Time{Time: then}},
	}}}
	const written = `{"parents":[{"parentRef":{"name":"one"},"controllerName":"a/b","conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"Accepted","message":""}]}]}`
	if got := string(encode(parents, GenerationsMissing)); got != written {
		t.Error(got)
	}
	if got := string(encode(parents, GenerationsZero)); !strings.Contains(got, `"observedGeneration":0,`) {
		t.Error(got)
	}
	if got := string(encode(nil, GenerationsZero)); got != `{"parents":[]}` {
		t.Error(got)
	}
}

func TestInstall(t *testing.T) {
	b := newBench(t, Options{Others: []string{"two"}})
	if err := install(t.Context(), b.client, b.identity); err != nil {
		t.Fatal(err)
	}
	var gateways gatewayv1.GatewayList
	var classes gatewayv1.GatewayClassList
	if err := b.client.List(t.Context(), &gateways); err != nil {
		t.Fatal(err)
	}
	if err := b.client.List(t.Context(), &classes); err != nil {
		t.Fatal(err)
	}
	if len(gateways.Items) != 2 || len(gateways.Items[1].Status.Conditions) != 2 || len(classes.Items) != 1 || len(classes.Items[0].Status.SupportedFeatures) == 0 {
		t.Errorf("made %v and %v", gateways.Items, classes.Items)
	}
}
