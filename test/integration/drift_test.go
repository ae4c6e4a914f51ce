// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// repaired waits until the route carries what the steps ask for again. Each object that was changed has a second (T6).
func (a *app) repaired(what, want string, limit time.Duration) {
	a.t.Helper()
	took := a.within(limit, "the repair of "+what, func() (bool, string) {
		got := strings.TrimSpace(a.traffic())
		return got == want, got
	})
	a.t.Logf("%s: repaired within %s", what, took.Round(time.Millisecond))
}

// patchRoute edits the route as a user.
func (a *app) patchRoute(patch string) {
	a.t.Helper()
	if err := env.Admin.Patch(a.t.Context(), a.route(a.name), client.RawPatch("application/json-patch+json", []byte(patch))); err != nil {
		a.t.Fatal(err)
	}
}

// TestDriftInRoute: weights and header rules are repaired within a second, and a GitOps overwrite of the Services and the route, one
// after the other, within three. The user's other changes stay.
func TestDriftInRoute(t *testing.T) {
	const carried = "50/50 canaryrollout-reviews-qa-0"
	a := paused(t, "3/3", builder.HeaderRoute("qa", "role", "qa"), builder.Weight(50), builder.Hold())
	a.checkTraffic(carried)
	a.patchRoute(`[{"op":"replace","path":"/spec/rules/1/backendRefs/0/weight","value":7},
		{"op":"replace","path":"/spec/rules/1/filters/0/requestHeaderModifier/set/0/value","value":"music"}]`)
	a.repaired("weights", carried, time.Second)
	for _, rule := range a.route(a.name).Spec.Rules[:2] {
		if value := rule.Filters[0].RequestHeaderModifier.Set[0].Value; value != "music" {
			t.Errorf("the filter of rule %v says %q", rule.Name, value)
		}
	}
	a.patchRoute(`[{"op":"remove","path":"/spec/rules/0"}]`)
	a.repaired("a header rule", carried, time.Second)
	a.apply(workload)
	a.repaired("an overwritten route", carried, 3*time.Second) // after both Services (T2)
	if s := a.rollout().Status; s.Step != "3/3" {
		t.Errorf("the release did not stay where it was: %s", describe(a.rollout()))
	}
}

// TestDriftInSelectors: a selector without the hash, or with another one, is repaired within a second.
func TestDriftInSelectors(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	s := a.rollout().Status
	for service, revision := range map[string]string{"reviews-stable": s.Stable.Revision, "reviews-canary": s.Canary.Revision} {
		for _, selector := range []string{`{"app":"reviews"}`, `{"app":"reviews","pod-template-hash":"other"}`} {
			a.setSelector(service, selector)
			took := a.within(time.Second, "the repair of "+service, func() (bool, string) {
				got := a.selector(service)[v1alpha1.RevisionLabel]
				return got == revision, got
			})
			t.Logf("%s %s: repaired within %s", service, selector, took.Round(time.Millisecond))
		}
	}
	a.checkSelects("reviews-stable", s.Stable.Revision)
	a.checkSelects("reviews-canary", s.Canary.Revision)
}

// TestDriftAtRest: the same holds with nothing in flight.
func TestDriftAtRest(t *testing.T) {
	a := deployed(t)
	revision := a.rollout().Status.Stable.Revision
	a.setSelector("reviews-canary", `{"app":"reviews"}`)
	a.within(time.Second, "the repair of the selector", func() (bool, string) {
		got := a.selector("reviews-canary")[v1alpha1.RevisionLabel]
		return got == revision, got
	})
	a.setBackends(pairRefs) // sets the weights to 1/1
	a.repaired("weights", "100/0", time.Second)
}

// TestDyingCanary: traffic moves to stable when the canary's pods fail, and returns with them.
func TestDyingCanary(t *testing.T) {
	a := paused(t, "2/2", builder.Weight(50), builder.Hold())
	canary := a.rollout().Status.Canary.Revision
	a.fail(t.Context(), canary, "true")
	a.waitFor("weight 0", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Traffic.DesiredWeight == 0 })
	a.waitForEvent("Warning", "CanaryUnavailable", canary)
	a.fail(t.Context(), canary, "false")
	a.waitFor("weight 50", func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StatePaused && r.Status.Traffic.VerifiedWeight == 50 && r.Status.Traffic.DesiredWeight == 50
	})
	a.checkTraffic("50/50")
}
