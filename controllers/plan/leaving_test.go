// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// left has a second route, which is verified to carry the same as the first one and is no longer in the spec.
func left(changes ...func(*Route)) change {
	return func(in *Input) {
		second := in.Observed.Routes[0]
		second.Name, second.Leaving = "partners", true
		for _, change := range changes {
			change(&second)
		}
		in.Observed.Routes = append(in.Observed.Routes, second)
		mem := in.Prior.Memory
		record := mem.Traffic.Routes[0]
		record.Name = "partners"
		mem.Traffic.Routes = append(mem.Traffic.Routes, record)
		mem.Routes = append(mem.Routes, v1alpha1.ManagedRoute{Kind: "HTTPRoute", Name: "partners"})
	}
}

// after runs passes until nothing changes. Routes carry what is written to them, and are accepted at once.
func after(t *testing.T, in Input) (Input, []string) {
	t.Helper()
	var actions []string
	for range 20 {
		got := Compute(in)
		for _, action := range got.Actions {
			actions = append(actions, describeAction(action))
			switch a := action.(type) {
			case SetTraffic:
				for i := range in.Observed.Routes {
					if r := &in.Observed.Routes[i]; r.Name == a.Name {
						r.Weight, r.Mirror, r.Headers = a.Weight, a.Mirror, HeadersNone
						r.Generation++
						r.AcceptedGeneration = r.Generation
					}
				}
			case PointService:
				services := []*Service{&in.Observed.Stable, &in.Observed.Canary}
				for i := range in.Observed.Leaving {
					services = append(services, &in.Observed.Leaving[i])
				}
				for _, service := range services {
					if service.Name == a.Name {
						service.Revision = a.Revision
					}
				}
			}
		}
		if len(got.Actions) == 0 && cmp.Equal(in.Prior.Memory, got.Status.Memory) {
			return in, actions
		}
		in.Prior, in.Now = got.Status, in.Now.Add(time.Minute)
		in = observedAgain(in)
	}
	t.Fatal("it comes to no rest")
	return in, nil
}

// observedAgain observes what memory now names.
func observedAgain(in Input) Input {
	var routes []Route
	for _, route := range in.Observed.Routes {
		isKnown := false
		for _, managed := range in.Prior.Memory.Routes {
			isKnown = isKnown || managed.Name == route.Name
		}
		if isKnown || !route.Leaving {
			routes = append(routes, route)
		}
	}
	in.Observed.Routes = routes
	services := map[string]Service{}
	for _, service := range append([]Service{in.Observed.Stable, in.Observed.Canary}, in.Observed.Leaving...) {
		services[service.Name] = service
	}
	find := func(name string) Service {
		if service, known := services[name]; known {
			return service
		}
		return Service{Name: name, Found: true, Endpoints: []Endpoints{{Revision: "a", Ready: 4, Total: 4}}}
	}
	in.Observed.Stable, in.Observed.Canary = find(in.Prior.Memory.StableService.Name), find(in.Prior.Memory.CanaryService.Name)
	in.Observed.Leaving = nil
	for _, name := range in.Prior.Memory.LeavingServices {
		in.Observed.Leaving = append(in.Observed.Leaving, find(name))
	}
	return in
}

func routesOf(m *v1alpha1.Memory) string {
	var names []string
	for _, route := range m.Routes {
		names = append(names, strings.TrimSpace(route.Name+" "+strings.Join(route.RuleNames, "+")))
	}
	return strings.Join(names, ", ")
}

// TestRouteLeaves checks that a route that leaves the spec returns its share to the stable Service at once, and leaves memory
// only when that is verified and has settled. Argo Rollouts leaves the last weights in it (argo-rollouts#4751), and its next
// release sends them to a revision that nobody has tested.
func TestRouteLeaves(t *testing.T) {
	weighted := func(r *Route) { r.Weight, r.Mirror, r.Headers = 50, 20, HeadersCurrent }
	gone := func(r *Route) {
		*r = Route{Kind: r.Kind, Name: r.Name, Leaving: true, Problem: &Problem{Reason: v1alpha1.ReasonRouteNotFound}}
	}
	handedOver := func(r *Route) { r.Problem = &Problem{Reason: v1alpha1.ReasonBackendPairNotFound} }
	unaccepted := func(r *Route) { r.Weight, r.AcceptedGeneration = 0, r.Generation-1 }
	const back = "SetTraffic partners weight=0 headerRoutes=0"
	for name, tc := range map[string]struct {
		in      Input
		actions []string
		routes  string
	}{
		"in mid-canary":         {changed(midway(50, weight(50), pause(0)), left(weighted)), []string{back}, "reviews"},
		"while paused":          {changed(midway(50, pause(0)), left(weighted)), []string{back}, "reviews"},
		"in a promotion":        {changed(promoting(100), left(weighted), func(in *Input) { in.Spec.Paused = true }), []string{back}, "reviews"},
		"idle":                  {changed(idle(), left()), nil, "reviews"},
		"idle, edited by hand":  {changed(idle(), left(weighted)), []string{back}, "reviews"},
		"edited with the spec":  {changed(midway(50, pause(0)), left(func(r *Route) { r.Weight, r.Generation = 0, r.Generation+1; r.AcceptedGeneration = r.Generation })), nil, "reviews"},
		"edited, not accepted":  {changed(midway(50, pause(0)), left(func(r *Route) { r.Weight, r.Generation = 0, r.Generation+1 })), nil, "reviews, partners"},
		"it is gone":            {changed(midway(50, pause(0)), left(gone)), nil, "reviews"},
		"it has other Services": {changed(midway(50, pause(0)), left(handedOver)), nil, "reviews"},
		"stable cannot serve":   {changed(midway(50, pause(0)), left(), alive("a", 0)), nil, "reviews, partners"},
		"no gateway accepts it": {changed(midway(50, pause(0)), left(unaccepted)), nil, "reviews, partners"},
	} {
		t.Run(name, func(t *testing.T) {
			end, actions := after(t, tc.in)
			if diff := cmp.Diff(tc.actions, actions); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			if got := routesOf(end.Prior.Memory); got != tc.routes {
				t.Errorf("remembers %s, want %s", got, tc.routes)
			}
			if end.Observed.Routes[0].Weight != tc.in.Observed.Routes[0].Weight {
				t.Errorf("the route of the spec carries %d, and carried %d", end.Observed.Routes[0].Weight, tc.in.Observed.Routes[0].Weight)
			}
		})
	}
}

// TestRouteLeavesFirst checks the order: the canary Service does not move, and the route stays in memory, until the route is
// verified to carry nothing; and the status tells why.
func TestRouteLeavesFirst(t *testing.T) {
	in := changed(idle(weight(50)), template("b"), left(func(r *Route) { r.Weight, r.AcceptedGeneration = 0, r.Generation-1 }), func(in *Input) {
		in.Prior = Compute(*in).Status // the release has begun
		in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{
			Name: "reviews-b", Revision: "b", Desired: 2, Replicas: 2, Ready: 2, Available: 2, Current: true,
		})
	})
	end, _ := after(t, in)
	if got := targets(end.Prior.Memory); got != "Stepping 0: 0% a/a" {
		t.Errorf("targets %s, want the canary Service where it is", got)
	}
	in = changed(midway(50, pause(0)), left(func(r *Route) { r.Weight = 0 }))
	got := conditionOf(Compute(in), v1alpha1.ConditionTrafficRouted)
	if got.Reason != v1alpha1.ReasonRouteNotVerified || !strings.Contains(got.Message, "HTTPRoute partners is no longer in spec.traffic") {
		t.Errorf("TrafficRouted says %s: %s", got.Reason, got.Message)
	}
}

// TestRouteIsRememberedFirst checks that a route is in memory before it is written: otherwise it would be lost if it left the
// spec in between.
func TestRouteIsRememberedFirst(t *testing.T) {
	in := changed(midway(50, pause(0)), route(func(r *Route) { r.Weight = 0 }), memory(func(m *v1alpha1.Memory) { m.Routes, m.Traffic.Routes = nil, nil }))
	got := Compute(in)
	if len(got.Actions) > 0 || routesOf(got.Status.Memory) != "reviews" {
		t.Errorf("%v, and remembers %q", described(got.Actions), routesOf(got.Status.Memory))
	}
	in.Prior = got.Status
	if got := described(Compute(in).Actions); len(got) != 1 {
		t.Errorf("then %v, want one write", got)
	}
}

// TestRuleLeaves checks that a rule that leaves ruleNames follows its route until that carries nothing for the canary.
func TestRuleLeaves(t *testing.T) {
	known := func(names ...string) change {
		return memory(func(m *v1alpha1.Memory) { m.Routes[0].RuleNames = names })
	}
	spec := func(names ...string) change { return route(func(r *Route) { r.RuleNames = names }) }
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"in mid-canary":         {changed(midway(50, pause(0)), known("x", "y"), spec("x")), "reviews x+y"},
		"another in mid-canary": {changed(midway(50, pause(0)), known("x"), spec("y")), "reviews x+y"},
		"all but one":           {changed(midway(50, pause(0)), known(), spec("x")), "reviews"},
		"at weight 0":           {changed(midway(0, pause(0)), known("x", "y"), spec("x")), "reviews x"},
		"not verified":          {changed(midway(0, pause(0)), known("x", "y"), spec("x"), unverified), "reviews x+y"},
		"idle":                  {changed(idle(), known(), spec("x")), "reviews x"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in)
			if got := routesOf(got.Status.Memory); got != tc.want {
				t.Errorf("remembers %s, want %s", got, tc.want)
			}
			isPending := strings.Contains(conditionOf(got, v1alpha1.ConditionTrafficRouted).Message, "no longer in ruleNames")
			if want := tc.want != "reviews x"; isPending != want {
				t.Errorf("says that something waits: %t, want %t", isPending, want)
			}
		})
	}
}

// TestServiceLeaves checks that other Services in the spec are used when nothing is in flight, and that the selector of the
// former Service is restored when that admits no other revision. Argo Rollouts leaves its hash in it, and the next release
// removes all its endpoints (argo-rollouts#83).
func TestServiceLeaves(t *testing.T) {
	named := func(stable, canary string) change {
		return func(in *Input) { in.Spec.Traffic.StableService, in.Spec.Traffic.CanaryService = stable, canary }
	}
	draining := func(in *Input) {
		in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, midway(50).Observed.ReplicaSets[1])
		in.Prior.Memory.Draining = []v1alpha1.DrainMemory{{Revision: "b", Since: ago(1)}}
		in.Spec.ScaleDownDelaySeconds = new(int32)
		*in.Spec.ScaleDownDelaySeconds = 3600
	}
	missing := func(in *Input) {
		in.Observed.Stable = Service{Name: "reviews-stable", Problem: &Problem{Reason: v1alpha1.ReasonServiceNotFound, Message: "x"}}
	}
	handedBack := []string{`PointService main -> "a"`, `PointService reviews-stable -> ""`}
	for name, tc := range map[string]struct {
		in      Input
		actions []string
		names   string // the two Services in force, and those that have left and are not handed back
	}{
		"idle":                  {changed(idle(), named("main", "reviews-canary")), handedBack, "main/reviews-canary []"},
		"both":                  {changed(idle(), named("main", "next")), []string{`PointService main -> "a"`, `PointService next -> "a"`, `PointService reviews-stable -> ""`, `PointService reviews-canary -> ""`}, "main/next []"},
		"while others drain":    {changed(idle(), named("main", "reviews-canary"), draining), handedBack[:1], "main/reviews-canary [reviews-stable]"},
		"and something is new":  {changed(idle(pause(0)), named("main", "reviews-canary"), draining, template("c")), handedBack[:1], "main/reviews-canary [reviews-stable]"},
		"swapped idle":          {changed(idle(), named("reviews-canary", "reviews-stable")), nil, "reviews-canary/reviews-stable []"},
		"in mid-canary":         {changed(midway(50, pause(0)), named("main", "reviews-canary")), nil, "reviews-stable/reviews-canary []"},
		"swapped in mid-canary": {changed(midway(50, pause(0)), named("reviews-canary", "reviews-stable")), nil, "reviews-stable/reviews-canary []"},
		"missing, mid-canary":   {changed(midway(50, pause(0)), named("main", "reviews-canary"), missing), []string{`PointService main -> "a"`}, "main/reviews-canary []"},
		"nothing was written":   {changed(firstDeploy(), named("main", "reviews-canary"), alive("b", 0)), nil, "main/reviews-canary []"},
	} {
		t.Run(name, func(t *testing.T) {
			end, actions := after(t, tc.in)
			if diff := cmp.Diff(tc.actions, actions); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			mem := end.Prior.Memory
			if got := fmt.Sprintf("%s/%s %v", mem.StableService.Name, mem.CanaryService.Name, mem.LeavingServices); got != tc.names {
				t.Errorf("Services %s, want %s", got, tc.names)
			}
			isPending := strings.Contains(conditionOf(Compute(end), v1alpha1.ConditionTrafficRouted).Message, "spec.traffic")
			if want := !strings.HasPrefix(tc.names, end.Spec.Traffic.StableService+"/") || len(mem.LeavingServices) > 0; isPending != want {
				t.Errorf("says that something waits: %t, want %t", isPending, want)
			}
		})
	}
}

// TestNamesOfAnOlderMemory checks that a memory without names gets the names that the spec has when it is first read.
func TestNamesOfAnOlderMemory(t *testing.T) {
	in := changed(midway(50, pause(0)), memory(func(m *v1alpha1.Memory) {
		m.Routes, m.StableService.Name, m.CanaryService.Name = nil, "", ""
	}))
	end, actions := after(t, in)
	mem := end.Prior.Memory
	if mem.StableService.Name != "reviews-stable" || mem.CanaryService.Name != "reviews-canary" || routesOf(mem) != "reviews" || len(actions) > 0 {
		t.Errorf("names %s and %s, routes %s, after %v", mem.StableService.Name, mem.CanaryService.Name, routesOf(mem), actions)
	}
}
