// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// sent returns the backend that the data path sends everything to, or "" if it sends nothing.
func (b *bench) sent() string {
	b.t.Helper()
	if entries := b.table.Load().entries; len(entries) > 0 {
		return entries[0].rule.backends[0].name
	}
	return ""
}

// reportedGeneration returns the generation that is reported, or 0 if there is none.
func (b *bench) reportedGeneration(name string) int64 {
	b.t.Helper()
	if parents := b.read(name).Status.Parents; len(parents) > 0 {
		return parents[0].Conditions[0].ObservedGeneration
	}
	return 0
}

func (b *bench) read(name string) *gatewayv1.HTTPRoute {
	b.t.Helper()
	route := &gatewayv1.HTTPRoute{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, route); err != nil {
		b.t.Fatal(err)
	}
	return route
}

// edit changes the route in the API server, and passes it to the gateway as a watch would.
func (b *bench) edit(name string, change func(*gatewayv1.HTTPRoute)) {
	b.t.Helper()
	route := b.read(name)
	change(route)
	route.Generation++
	if err := b.client.Update(b.t.Context(), route); err != nil {
		b.t.Fatal(err)
	}
	b.seeRoute(route)
}

func toBackend(name string) func(*gatewayv1.HTTPRoute) {
	return func(route *gatewayv1.HTTPRoute) {
		route.Spec.Rules[0].BackendRefs[0].Name = gatewayv1.ObjectName(name)
	}
}

// newRoutedBench serves a route that sends all requests to backend a.
func newRoutedBench(t *testing.T, behaviour Behaviour) *bench {
	t.Helper()
	b := newBench(t, Options{Behaviour: behaviour}, parseRoute(t, "r", "rules: ["+"{"+to("a")+"}]"))
	for _, name := range []string{"a", "b", "c"} {
		b.seeService(service(name))
	}
	b.seeRoute(b.read("r"))
	return b
}

// TestLags runs through two edits, and checks at each moment what is routed and what is reported.
func TestLags(t *testing.T) {
	type moment struct {
		after    time.Duration
		sent     string
		reported int64
	}
	for name, tc := range map[string]struct {
		behaviour Behaviour
		want      []moment // after the first edit, to b; the second one, to c, comes after three of them
	}{
		"none":   {Behaviour{}, []moment{{0, "b", 2}, {1, "b", 2}, {1, "b", 2}, {0, "c", 3}}},
		"route":  {Behaviour{RouteLag: 10}, []moment{{0, "a", 2}, {9, "a", 2}, {0, "a", 2}, {0, "a", 3}, {1, "b", 3}, {8, "b", 3}, {1, "c", 3}}},
		"status": {Behaviour{StatusLag: 10}, []moment{{0, "a", 1}, {9, "a", 1}, {0, "a", 1}, {0, "a", 1}, {1, "b", 2}, {8, "b", 2}, {1, "c", 3}}},
		"both": {Behaviour{StatusLag: 10, RouteLag: 20}, []moment{{0, "a", 1}, {5, "a", 1}, {0, "a", 1}, {0, "a", 1}, {5, "a", 2}, {5, "a", 3},
			{14, "a", 3}, {1, "b", 3}, {5, "c", 3}}},
		"silent": {Behaviour{Silent: true, RouteLag: 10}, []moment{{0, "a", 1}, {9, "a", 1}, {0, "a", 1}, {0, "a", 1}, {1, "b", 1}, {9, "c", 1}}},
		"behind": {Behaviour{Behind: true}, []moment{{0, "b", 1}, {1, "b", 1}, {1, "b", 1}, {0, "c", 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRoutedBench(t, Behaviour{})
			b.after(0)
			b.Behave(tc.behaviour)
			b.edit("r", toBackend("b"))
			for i, want := range tc.want {
				if i == 3 {
					b.edit("r", toBackend("c"))
				}
				b.after(want.after)
				if got := (moment{want.after, b.sent(), b.reportedGeneration("r")}); got != want {
					t.Errorf("moment %d: got %v, want %v", i, got, want)
				}
			}
		})
	}
}

// TestRoutedBeforeReported: when a well-behaved gateway reports a change, it already routes it.
func TestRoutedBeforeReported(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.after(0)
	b.edit("r", toBackend("b"))
	if writes, _ := b.writes(b.clock.Now()); len(writes) != 1 || b.sent() != "b" {
		t.Errorf("%d statuses are about to be written, and all goes to %s", len(writes), b.sent())
	}
}

// TestCatchUp: a gateway whose lags end applies and reports everything at once.
func TestCatchUp(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.after(0)
	b.Behave(Behaviour{RouteLag: time.Hour, EndpointLag: time.Hour, Silent: true})
	b.edit("r", toBackend("b"))
	b.seeSlice(slice(t, "b", "10.0.0.1:80"))
	b.after(time.Minute)
	if b.sent() != "a" || b.reportedGeneration("r") != 1 {
		t.Errorf("routed to %s, reported generation %d", b.sent(), b.reportedGeneration("r"))
	}
	b.Behave(Behaviour{})
	b.after(0)
	if got := b.table.Load().entries[0].rule.backends[0]; got.name != "b" || len(got.addresses) != 1 || b.reportedGeneration("r") != 2 {
		t.Errorf("routed to %v, reported generation %d", got, b.reportedGeneration("r"))
	}
}

// TestEndpointLag: endpoints arrive later than weights, in order, and are also removed later.
func TestEndpointLag(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.seeSlice(slice(t, "a", "10.0.0.1:80"))
	b.after(0)
	b.Behave(Behaviour{EndpointLag: 10})
	endpoints := func() string {
		if addresses := b.table.Load().entries[0].rule.backends[0].addresses; len(addresses) > 0 {
			return addresses[0]
		}
		return ""
	}
	b.seeSlice(slice(t, "a", "10.0.0.2:80"))
	b.after(4)
	b.missSlice(slice(t, "a"))
	for i, want := range []struct {
		after time.Duration
		at    string
	}{{5, "10.0.0.1:80"}, {1, "10.0.0.2:80"}, {3, "10.0.0.2:80"}, {1, ""}} {
		if b.after(want.after); endpoints() != want.at {
			t.Errorf("moment %d: got %q, want %q", i, endpoints(), want.at)
		}
	}
}

// TestEndpointsGoAtOnce: only new endpoints are late.
func TestEndpointsGoAtOnce(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.seeSlice(slice(t, "a", "10.0.0.1:80", "10.0.0.2:80"))
	b.after(0)
	b.Behave(Behaviour{EndpointLag: 10, EndpointsGoAtOnce: true})
	b.seeSlice(slice(t, "a", "10.0.0.2:80", "10.0.0.3:80"))
	for i, want := range []struct {
		after time.Duration
		at    []string
	}{{0, []string{"10.0.0.2:80"}}, {9, []string{"10.0.0.2:80"}}, {1, []string{"10.0.0.2:80", "10.0.0.3:80"}}} {
		b.after(want.after)
		if got := b.table.Load().entries[0].rule.backends[0].addresses; !slices.Equal(got, want.at) {
			t.Errorf("moment %d: got %q, want %q", i, got, want.at)
		}
	}
}

// TestDeletedRoute: a deleted route leaves the data path as late as a change would, and a new route with the same
// name is independent of it.
func TestDeletedRoute(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.after(0)
	b.Behave(Behaviour{RouteLag: 10})
	gone := b.read("r")
	b.missRoute(gone)
	b.after(0)
	b.after(9)
	if b.sent() != "a" {
		t.Errorf("it went at once: %q", b.sent())
	}
	if b.after(1); b.sent() != "" || len(b.records) != 0 {
		t.Errorf("it is still there: %q, %d records", b.sent(), len(b.records))
	}
	recreated := gone.DeepCopy()
	recreated.UID, recreated.Generation = "v", 1
	toBackend("b")(recreated)
	b.Behave(Behaviour{})
	b.seeRoute(recreated)
	if b.after(0); b.sent() != "b" {
		t.Errorf("the route of the same name is not followed: %q", b.sent())
	}
}

// TestOldNews: a watch that lags behind the response to our own write must not revert the route.
func TestOldNews(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.after(0)
	old := b.read("r")
	b.edit("r", toBackend("b"))
	b.seeRoute(old)
	if b.after(0); b.sent() != "b" || b.reportedGeneration("r") != 2 {
		t.Errorf("all goes to %s, reported generation is %d", b.sent(), b.reportedGeneration("r"))
	}
}

// TestRefusedRouteIsNotRouted: a route that exceeds a limit is refused and not served.
func TestRefusedRouteIsNotRouted(t *testing.T) {
	b := newRoutedBench(t, Behaviour{})
	b.after(0)
	b.edit("r", func(route *gatewayv1.HTTPRoute) {
		route.Spec.Rules = make([]gatewayv1.HTTPRouteRule, 17)
	})
	b.after(0)
	accepted := b.read("r").Status.Parents[0].Conditions[0]
	if b.sent() != "" || accepted.Reason != string(gatewayv1.RouteReasonUnsupportedValue) {
		t.Errorf("routed to %q, said %v", b.sent(), accepted)
	}
}

// TestLoops runs the two loops on a fake clock.
func TestLoops(t *testing.T) {
	b := newRoutedBench(t, Behaviour{StatusLag: time.Minute, RouteLag: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	b.running.Go(func() { b.pulse(ctx, b.routing, b.Gateway.route) })
	b.running.Go(func() { b.pulse(ctx, b.reporting, b.report) })
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !is(); {
			if time.Now().After(deadline) {
				t.Fatal("timed out waiting until ", what)
			}
			<-time.After(time.Millisecond)
		}
	}
	until("the report is waited for", b.clock.HasWaiters)
	b.clock.Step(time.Minute)
	until("the route is reported", func() bool { return b.reportedGeneration("r") == 1 })
	if b.sent() != "" {
		t.Error("it is routed already")
	}
	until("the data path is waited for", b.clock.HasWaiters)
	b.clock.Step(time.Minute)
	until("it is routed", func() bool { return b.sent() == "a" })
	cancel()
	b.running.Wait()
}
