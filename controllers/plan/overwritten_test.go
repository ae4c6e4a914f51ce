// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestOverwritten checks that a Warning names the writer that overwrites a target, once for each write, and never our own.
func TestOverwritten(t *testing.T) {
	const (
		weights = "RouteOverwritten: argocd wrote stable 1 and canary 1 to HTTPRoute reviews: it is restored to 40 % for the canary"
		rules   = "RouteOverwritten: argocd wrote no header routes to HTTPRoute reviews: it is restored to 40 % for the canary, with 1 header route"
		copies  = "RouteOverwritten: argocd wrote no mirror to HTTPRoute reviews: it is restored to 40 % for the canary, with a mirror of 20 %"
		former  = "RouteOverwritten: argocd wrote header routes of this rollout that are not in force to HTTPRoute reviews: it is restored to 0 % for the canary"
		service = "ServiceOverwritten: argocd made Service reviews-canary select every revision: it is restored to revision b"
	)
	written := route(func(r *Route) {
		r.Generation, r.Weight, r.Weights, r.FieldManager = 8, 50, "stable 1 and canary 1", "argocd"
	})
	stripped := func(in *Input) { in.Observed.Canary.Revision, in.Observed.Canary.FieldManager = "", "argocd" }
	newTarget := memory(func(m *v1alpha1.Memory) { m.Traffic.Routes, m.Traffic.VerifiedAt = nil, nil })
	generation := func(g int64) change { return route(func(r *Route) { r.Generation, r.FieldManager = g, "argocd" }) }
	carrying := func(h HeaderState) change { return route(func(r *Route) { r.Headers = h }) }
	for name, tc := range map[string]struct {
		in   Input
		want []string
	}{
		"nothing":                        {midway(40, pause(0)), nil},
		"weights":                        {changed(midway(40, pause(0)), written), []string{weights}},
		"header rules":                   {changed(midway(40, pause(0)), headers(true), generation(8), carrying(HeadersNone)), []string{rules}},
		"an edit of their source":        {changed(midway(40, pause(0)), headers(true), generation(8), carrying(HeadersOther)), nil},
		"a mirror":                       {changed(midway(40, pause(0)), mirror(20), generation(8), route(func(r *Route) { r.Mirror = 0 })), []string{copies}},
		"our own new target":             {changed(midway(40, pause(0)), written, newTarget), nil},
		"a route that was created again": {changed(midway(40, pause(0)), written, generation(1)), nil},
		"another field":                  {changed(midway(40, pause(0)), generation(8)), nil},
		"former header rules idle":       {changed(idle(), generation(8), carrying(HeadersOther)), []string{former}},
		"a Service created again":        {changed(midway(40, pause(0)), stripped, func(in *Input) { in.Observed.Canary.Created = in.Now }), nil},
		"a selector":                     {changed(midway(40, pause(0)), stripped), []string{service}},
		"a Service that we move":         {changed(midway(40, pause(0)), stripped, memory(func(m *v1alpha1.Memory) { m.CanaryService.ReadyAt = nil })), nil},
		"a selector that has to stay":    {changed(midway(40, pause(0)), stripped, set("b", func(rs *ReplicaSet) { rs.Ready = 0 })), nil},
		"both":                           {changed(midway(40, pause(0)), written, stripped), []string{service, weights}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, event := range eventsOf(Compute(tc.in)) {
				if event.Reason == EventRouteOverwritten || event.Reason == EventServiceOverwritten {
					if !event.Repeats {
						t.Errorf("%s could flood", event.Reason)
					}
					got = append(got, event.Reason+": "+event.Message)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
