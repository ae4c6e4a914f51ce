// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestAnotherHeaderRoute checks that a header route beside one that is in force waits for all that the first one has waited for.
// Until then, the first one stays in force.
func TestAnotherHeaderRoute(t *testing.T) {
	post := v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "post", Matches: []v1alpha1.RequestMatch{{Method: ptr.To(gatewayv1.HTTPMethodPost)}}}}
	qa := v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: post.SetHeaderRoute.Matches}}
	unsupported := route(func(r *Route) {
		r.Unsupported.Method = &Problem{v1alpha1.ReasonHeaderRouteNotSupported, "no method matching"}
	})
	for name, tc := range map[string]struct {
		step    v1alpha1.Step
		change  change
		want    []string
		stalled string
	}{
		"added":         {step: post, want: []string{"qa", "post"}, stalled: v1alpha1.ReasonNotStalled},
		"replaced":      {step: qa, want: []string{"qa"}, stalled: v1alpha1.ReasonNotStalled},
		"not supported": {step: post, change: unsupported, want: []string{"qa"}, stalled: v1alpha1.ReasonHeaderRouteNotSupported},
		"not verified":  {step: post, change: unverified, want: []string{"qa"}},
		"without pods":  {step: post, change: func(in *Input) { pods("b", 0)(in); canaryEndpoints("b", 0)(in) }, want: []string{"qa"}},
		"paused":        {step: post, change: func(in *Input) { in.Spec.Paused = true }, want: []string{"qa"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(midway(20, headerStep(), tc.step, pause(0)), headers(true), memory(func(m *v1alpha1.Memory) { m.StepIndex = 1 }))
			if tc.change != nil {
				tc.change(&in)
			}
			plan := ComputeMove(in)
			memory, isReplaced := plan.Status.Memory, false
			var got []string
			for _, headerRoute := range memory.StepTargets.HeaderRoutes {
				got = append(got, headerRoute.Name)
				isReplaced = isReplaced || headerRoute.Name == "qa" && headerRoute.Matches[0].Method != nil
			}
			if len(got) != len(tc.want) || isReplaced != (name == "replaced") {
				t.Errorf("the header routes are %v, replaced: %t", got, isReplaced)
			}
			if stalled := conditionOf(plan, v1alpha1.ConditionStalled); tc.stalled != "" && stalled.Reason != tc.stalled {
				t.Errorf("stalled by %s: %s", stalled.Reason, stalled.Message)
			}
		})
	}
}
