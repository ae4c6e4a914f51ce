// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func TestAccepted(t *testing.T) {
	const taken = `conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]`
	for name, tc := range map[string]struct {
		refs, parents string
		want          Acceptance
	}{
		"accepted": {`[{name: a}]`, `[{parentRef: {name: a}, ` + taken + `}]`, Acceptance{Generation: 4}},
		"defaults spelled out": {
			`[{name: a}]`,
			`[{parentRef: {group: gateway.networking.k8s.io, kind: Gateway, namespace: bookinfo, name: a}, ` + taken + `}]`, Acceptance{Generation: 4},
		},
		"not partly invalid": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 4}, {type: PartiallyInvalid, status: "False", observedGeneration: 2}]}]`, Acceptance{Generation: 4},
		},
		"a mesh": {
			`[{group: "", kind: Service, name: a, port: 80}]`,
			`[{parentRef: {group: "", kind: Service, name: a, port: 80}, ` + taken + `}]`, Acceptance{Generation: 4},
		},
		"no parents": {`[]`, `[]`, Acceptance{Orphaned: true, Pending: "HTTPRoute bookinfo has no parentRefs, and its status names no parent, so nothing serves it: attach it to a Gateway, or to the route that delegates to it"}},
		// kgateway binds such a route through the backendRefs of another one, and reports that one as the parent.
		"delegated to": {
			`[]`, `[{parentRef: {kind: HTTPRoute, name: entry, namespace: edge}, ` + taken + `}]`, Acceptance{Generation: 4},
		},
		"delegated to, behind": {
			`[]`, `[{parentRef: {kind: HTTPRoute, name: entry, namespace: edge}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 3}]}]`,
			Acceptance{Generation: 3, Pending: "HTTPRoute edge/entry has accepted generation 3, not yet 4"},
		},
		"delegated to by two, one refuses": {
			`[]`, `[{parentRef: {kind: HTTPRoute, name: entry}, ` + taken + `}, {parentRef: {kind: HTTPRoute, name: other}, conditions: [{type: Accepted, status: "False", reason: R, message: m}]}]`,
			Acceptance{Pending: "HTTPRoute other: Accepted is False (R: m)"},
		},
		"no answer":           {`[{name: a}]`, `[]`, Acceptance{Pending: "Gateway a has not reported a status"}},
		"another's answer":    {`[{name: a}]`, `[{parentRef: {name: b}, ` + taken + `}]`, Acceptance{Pending: "Gateway a has not reported a status"}},
		"another namespace":   {`[{name: a, namespace: infra}]`, `[{parentRef: {name: a}, ` + taken + `}]`, Acceptance{Pending: "Gateway infra/a has not reported a status"}},
		"another section":     {`[{name: a, sectionName: https}]`, `[{parentRef: {name: a, sectionName: http}, ` + taken + `}]`, Acceptance{Pending: "Gateway a section https has not reported a status"}},
		"another port":        {`[{name: a, port: 443}]`, `[{parentRef: {name: a}, ` + taken + `}]`, Acceptance{Pending: "Gateway a port 443 has not reported a status"}},
		"another kind":        {`[{name: a, kind: ListenerSet}]`, `[{parentRef: {name: a}, ` + taken + `}]`, Acceptance{Pending: "ListenerSet a has not reported a status"}},
		"another group":       {`[{name: a, group: example.com}]`, `[{parentRef: {name: a}, ` + taken + `}]`, Acceptance{Pending: "Gateway a has not reported a status"}},
		"one of two":          {`[{name: a}, {name: b}]`, `[{parentRef: {name: b}, ` + taken + `}]`, Acceptance{Pending: "Gateway a has not reported a status"}},
		"left-over is no bar": {`[{name: a}]`, `[{parentRef: {name: old}, conditions: [{type: Accepted, status: "False"}]}, {parentRef: {name: a}, ` + taken + `}]`, Acceptance{Generation: 4}},
		"no conditions":       {`[{name: a}]`, `[{parentRef: {name: a}}]`, Acceptance{Pending: "Gateway a has not reported the condition Accepted"}},
		"half of them": {
			`[{name: a}]`, `[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}]}]`,
			Acceptance{Pending: "Gateway a has not reported the condition ResolvedRefs"},
		},
		"refused": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "False", observedGeneration: 4, reason: BackendNotFound, message: no Service x}]}]`,
			Acceptance{Pending: "Gateway a: ResolvedRefs is False for generation 4 (BackendNotFound: no Service x)"},
		},
		"unknown": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: Unknown, reason: Pending, message: wait}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]}]`,
			Acceptance{Pending: "Gateway a: Accepted is Unknown (Pending: wait)"},
		},
		"refused without a message": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "False", observedGeneration: 4, reason: NoMatchingParent}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]}]`,
			Acceptance{Pending: "Gateway a: Accepted is False for generation 4 (NoMatchingParent)"},
		},
		"refused long ago": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "False", observedGeneration: 2, reason: NoMatchingParent, message: m}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]}]`,
			Acceptance{Pending: "Gateway a: Accepted is False for generation 2 (NoMatchingParent: m)"},
		},
		"partly invalid": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 4}, {type: PartiallyInvalid, status: "True", observedGeneration: 4, reason: UnsupportedValue, message: Dropped Rule}]}]`,
			Acceptance{Refused: 4, Pending: "Gateway a: PartiallyInvalid is True for generation 4 (UnsupportedValue: Dropped Rule)"},
		},
		"refused for what it asks for": {
			`[{name: a}, {name: b}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "False", observedGeneration: 4, reason: UnsupportedValue, message: no mirrors}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]}, {parentRef: {name: b}, ` + taken + `}]`,
			Acceptance{Refused: 4, Pending: "Gateway a: Accepted is False for generation 4 (UnsupportedValue: no mirrors)"},
		},
		"one generation behind": {
			`[{name: a}, {name: b}]`,
			`[{parentRef: {name: b}, ` + taken + `}, {parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 3}]}]`,
			Acceptance{Generation: 3, Pending: "Gateway a has accepted generation 3, not yet 4"},
		},
		// Linkerd, and APISIX for years, report no generation.
		"without generations": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True"}, {type: ResolvedRefs, status: "True", observedGeneration: 0}]}]`,
			Acceptance{Unversioned: true, Pending: "Gateway a accepts the route, but does not report which generation"},
		},
		"one of two without generations": {
			`[{name: a}, {name: b}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True"}, {type: ResolvedRefs, status: "True"}]}, {parentRef: {name: b}, ` + taken + `}]`,
			Acceptance{Generation: 4, Unversioned: true, Pending: "Gateway a accepts the route, but does not report which generation"},
		},
		"without generations, and no answer": {
			`[{name: a}, {name: b}]`,
			`[{parentRef: {name: a}, conditions: [{type: Accepted, status: "True"}, {type: ResolvedRefs, status: "True"}]}]`,
			Acceptance{Pending: "Gateway a accepts the route, but does not report which generation; Gateway b has not reported a status"},
		},
		"two controllers agree": {
			`[{name: a}]`, `[{parentRef: {name: a}, controllerName: x/one, ` + taken + `}, {parentRef: {name: a}, controllerName: x/two, ` + taken + `}]`, Acceptance{Generation: 4},
		},
		"an older answer of another controller": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/one, ` + taken + `}, {parentRef: {name: a}, controllerName: x/two, conditions: [{type: Accepted, status: "True", observedGeneration: 2}, {type: ResolvedRefs, status: "True", observedGeneration: 2}]}]`,
			Acceptance{Generation: 4, Ignored: "Gateway a (x/two)"},
		},
		"none has taken the newest": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/one, conditions: [{type: Accepted, status: "True", observedGeneration: 3}, {type: ResolvedRefs, status: "True", observedGeneration: 3}]}, {parentRef: {name: a}, controllerName: x/two, conditions: [{type: Accepted, status: "True", observedGeneration: 2}, {type: ResolvedRefs, status: "True", observedGeneration: 2}]}]`,
			Acceptance{Generation: 3, Pending: "Gateway a (x/one) has accepted generation 3, not yet 4", Ignored: "Gateway a (x/two)"},
		},
		// Kuadrant's policy controller writes only its own conditions.
		"a policy controller": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/policy, conditions: [{type: x/RateLimited, status: "True", observedGeneration: 4}]}, {parentRef: {name: a}, controllerName: x/one, ` + taken + `}]`,
			Acceptance{Generation: 4, Ignored: "Gateway a (x/policy)"},
		},
		"a policy controller alone": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/policy, conditions: [{type: x/RateLimited, status: "True", observedGeneration: 4}]}]`,
			Acceptance{Pending: "Gateway a has not reported the condition Accepted"},
		},
		// Traefik 3.6 reports this for every Gateway that is not its own; envoyproxy/gateway#6898: entries of former
		// controllers stay.
		"another controller's Gateway": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/one, ` + taken + `}, {parentRef: {name: a}, controllerName: x/two, conditions: [{type: Accepted, status: "False", observedGeneration: 4, reason: NoMatchingParent, message: m}]}]`,
			Acceptance{Generation: 4, Ignored: "Gateway a (x/two)"},
		},
		"nobody's Gateway": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/one, conditions: [{type: Accepted, status: "False", reason: NoMatchingParent, message: m}]}, {parentRef: {name: a}, controllerName: x/two, conditions: [{type: Accepted, status: "False", reason: NoMatchingParent, message: mm}]}]`,
			Acceptance{Pending: "Gateway a (x/one): Accepted is False (NoMatchingParent: m); Gateway a (x/two): Accepted is False (NoMatchingParent: mm)"},
		},
		"two controllers, one refuses": {
			`[{name: a}]`,
			`[{parentRef: {name: a}, controllerName: x/one, ` + taken + `}, {parentRef: {name: a}, controllerName: x/two, conditions: [{type: Accepted, status: "False", reason: NotAllowedByListeners, message: m}]}]`,
			Acceptance{Generation: 4, Ignored: "Gateway a (x/two)"},
		},
		"unreadable": {`[{name: a}]`, `text`, Acceptance{Pending: "HTTPRoute bookinfo cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			obj := decode(t, `{kind: HTTPRoute, metadata: {name: bookinfo, namespace: bookinfo, generation: 4}, spec: {parentRefs: `+tc.refs+`}, status: {parents: `+tc.parents+`}}`)
			got := Accepted(obj, nil)
			if strings.HasPrefix(got.Pending, "HTTPRoute bookinfo cannot be read") {
				got.Pending = "HTTPRoute bookinfo cannot be read"
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAcceptedByTheClass checks that for a Gateway only the answer of its class's controller counts, and that a class
// is looked up only if several controllers have answered. A former controller's entry must not block a release
// forever, and its acceptance must not count as the Gateway's.
func TestAcceptedByTheClass(t *testing.T) {
	at := func(generation string) string {
		return `conditions: [{type: Accepted, status: "True", observedGeneration: ` + generation + `}, {type: ResolvedRefs, status: "True", observedGeneration: ` + generation + `}]`
	}
	gateway := types.NamespacedName{Namespace: "bookinfo", Name: "a"}
	for name, tc := range map[string]struct {
		ref, one, two string
		class         string
		asked         int
		want          Acceptance
	}{
		"a stale entry":          {`name: a`, at("4"), at("1"), "x/one", 1, Acceptance{Generation: 4, Ignored: "Gateway a (x/two)"}},
		"its own is behind":      {`name: a`, at("3"), at("4"), "x/one", 1, Acceptance{Generation: 3, Pending: "Gateway a (x/one) has accepted generation 3, not yet 4", Ignored: "Gateway a (x/two)"}},
		"its own is silent":      {`name: a`, `conditions: []`, at("4"), "x/one", 1, Acceptance{Pending: "Gateway a (x/one) has not reported the condition Accepted", Ignored: "Gateway a (x/two)"}},
		"its own refuses":        {`name: a`, `conditions: [{type: Accepted, status: "False", reason: R, message: m}]`, at("4"), "x/one", 1, Acceptance{Pending: "Gateway a (x/one): Accepted is False (R: m)", Ignored: "Gateway a (x/two)"}},
		"its own has no entry":   {`name: a`, at("3"), at("4"), "x/new", 1, Acceptance{Generation: 4, Ignored: "Gateway a (x/one)"}},
		"a class that is hidden": {`name: a`, at("3"), at("4"), "", 1, Acceptance{Generation: 4, Ignored: "Gateway a (x/one)"}},
		"no Gateway":             {`{group: "", kind: Service, name: a}`, at("3"), at("4"), "x/one", 0, Acceptance{Generation: 4, Ignored: "Service a (x/one)"}},
		"one answer":             {`name: a`, at("4"), "", "x/two", 0, Acceptance{Generation: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			ref := "{" + strings.Trim(tc.ref, "{}") + "}"
			entries := `{parentRef: ` + ref + `, controllerName: x/one, ` + tc.one + `}`
			if tc.two != "" {
				entries += `, {parentRef: ` + ref + `, controllerName: x/two, ` + tc.two + `}`
			}
			obj := decode(t, `{kind: HTTPRoute, metadata: {name: bookinfo, namespace: bookinfo, generation: 4}, spec: {parentRefs: [`+ref+`]}, status: {parents: [`+entries+`]}}`)
			asked := 0
			got := Accepted(obj, func(of types.NamespacedName) string {
				asked++
				if of != gateway {
					t.Errorf("asked about %s", of)
				}
				return tc.class
			})
			if diff := cmp.Diff(tc.want, got); diff != "" || asked != tc.asked {
				t.Errorf("asked %d times, want %d; (-want +got):\n%s", asked, tc.asked, diff)
			}
		})
	}
}

// TestDefaultGateways checks that a route that also asks for default Gateways waits for those that have answered.
func TestDefaultGateways(t *testing.T) {
	obj := decode(t, `{kind: HTTPRoute, metadata: {name: bookinfo, namespace: bookinfo, generation: 4}, spec: {useDefaultGateways: All, parentRefs: [{name: a}]}, status: {parents: [
		{parentRef: {name: a}, conditions: [{type: Accepted, status: "True", observedGeneration: 4}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]},
		{parentRef: {name: b}, conditions: [{type: Accepted, status: "True", observedGeneration: 3}, {type: ResolvedRefs, status: "True", observedGeneration: 4}]}]}}`)
	if diff := cmp.Diff(Acceptance{Generation: 3, Pending: "Gateway b has accepted generation 3, not yet 4"}, Accepted(obj, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Messages in a status are limited, and an implementation's may have any length.
func TestLongMessagesAreCut(t *testing.T) {
	obj := decode(t, `{kind: HTTPRoute, metadata: {name: bookinfo, generation: 4}, spec: {parentRefs: [{name: a}]}, status: {parents: [
		{parentRef: {name: a}, conditions: [{type: Accepted, status: "False", reason: R, message: "`+strings.Repeat("ö", 32768)+`"}]}]}}`)
	want := "Gateway a: Accepted is False (R: " + strings.Repeat("ö", maxQuote) + "...)"
	if diff := cmp.Diff(want, Accepted(obj, nil).Pending); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
