// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// TestRouteLimits: a header route that does not fit into the route is not written. The release is held, a condition
// and an Event report which limit is exceeded, and it continues by itself when there is room.
func TestRouteLimits(t *testing.T) {
	t.Parallel()
	twoMatches := builder.HeaderRoute("qa", "role", "qa")
	twoMatches.SetHeaderRoute.Matches = append(twoMatches.SetHeaderRoute.Matches,
		v1alpha1.RequestMatch{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "dev"}}})
	for name, tc := range map[string]struct {
		message string
		fill    func(*gatewayv1.HTTPRouteSpec)
	}{
		"rules": {"would have 17 rules, and the Gateway API allows 16", func(spec *gatewayv1.HTTPRouteSpec) {
			spec.Rules = append(spec.Rules, slices.Repeat(spec.Rules[1:], 14)...)
		}},
		"matches": {"would have 66 matches in one rule, and the Gateway API allows 64", func(spec *gatewayv1.HTTPRouteSpec) {
			spec.Rules[0].Matches = slices.Repeat(spec.Rules[0].Matches, 33)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := paused(t, "2/4", builder.Scale(1), builder.Hold(), twoMatches, builder.Hold())
			roomy := a.route(a.name).Spec
			a.editRoute(tc.fill)
			before, writes := a.userObjects(), len(a.operatorWrites())
			a.annotate(v1alpha1.PromoteAnnotation, "true")
			a.waitForProblem(problem{reason: v1alpha1.ReasonRouteLimitExceeded, message: tc.message})
			checkConditions(t, a.barrier(), stalled(v1alpha1.ReasonRouteLimitExceeded).with("TrafficRouted", "False "+v1alpha1.ReasonRouteLimitExceeded))
			if after := a.userObjects(); after != before || len(a.operatorWrites()) != writes {
				t.Errorf("the user's objects were written:\nwas %s\nis  %s", before, after)
			}
			a.editRoute(func(spec *gatewayv1.HTTPRouteSpec) { *spec = roomy })
			a.waitForStep(v1alpha1.StatePaused, "4/4")
			a.checkTraffic("100/0 canaryrollout-reviews-qa-0")
		})
	}
}

// editRoute changes the route as a user.
func (a *app) editRoute(edit func(*gatewayv1.HTTPRouteSpec)) {
	a.t.Helper()
	route := a.route(a.name)
	edit(&route.Spec)
	if err := env.Admin.Update(a.t.Context(), route); err != nil {
		a.t.Fatal(err)
	}
}
