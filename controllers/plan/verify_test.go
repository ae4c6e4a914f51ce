// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// waiting has a target that has waited a number of seconds to be verified.
func waiting(seconds int) change {
	return func(in *Input) {
		unverified(in)
		in.Prior.Memory.Traffic.UnverifiedSince = ago(seconds)
		in.Observed.Routes[0].Pending = "Gateway http-gateway has taken generation 6, not yet 7"
	}
}

// TestVerifyTimeout checks the end of T4: a weight that is not verified in time is reported, and aborts the release if the
// user asks for that.
func TestVerifyTimeout(t *testing.T) {
	aborts := func(in *Input) { in.Spec.Traffic.OnVerifyTimeout = v1alpha1.VerifyTimeoutAbort }
	after := func(seconds int32) change {
		return func(in *Input) { in.Spec.Traffic.VerifyTimeoutSeconds = &seconds }
	}
	orphaned := route(func(r *Route) { r.Orphaned = true })
	problem := func(in *Input) { in.Observed.Canary.Problem = &Problem{Reason: v1alpha1.ReasonServiceConflict} }
	silent := func(in *Input) {
		in.Observed.Routes[0].AcceptedGeneration, in.Observed.Routes[0].Unversioned = 0, true
		in.Prior.Memory.Traffic.Routes[0].CarriedAt = in.Prior.Memory.Traffic.UnverifiedSince
	}
	const still, aborted = "Stepping 0: 20% a/b", "RollingBack 0: 0% a/b aborted b"
	in := func(changes ...change) Input { return changed(midway(20, weight(20)), changes...) }
	stuck, fine := v1alpha1.ReasonRouteNotVerified, v1alpha1.ReasonNotStalled
	for name, tc := range map[string]planCase{
		"not yet":                   {in: in(waiting(59)), targets: still, stalled: fine, wake: time.Second},
		"held":                      {in: in(waiting(60)), targets: still, stalled: stuck},
		"sooner":                    {in: in(waiting(10), after(10)), targets: still, stalled: stuck},
		"aborted":                   {in: in(waiting(60), aborts), targets: aborted, stalled: fine},
		"a command is under way":    {in: in(waiting(60), aborts, command("promote=full")), targets: still, stalled: stuck},
		"promoting":                 {in: changed(promoting(100), waiting(60), aborts), targets: "RollingBack 0: 0% a/b aborted b", stalled: fine},
		"returning cannot abort":    {in: changed(rollingBack(0), waiting(60), aborts), targets: "RollingBack 0: 0% a/b", stalled: stuck},
		"in a migration":            {in: changed(promoting(100), unowned, waiting(60)), targets: "Promoting 0: 100% /b", stalled: stuck},
		"idle":                      {in: changed(idle(), waiting(60)), targets: "Idle 0: 0% a/a", stalled: stuck},
		"at a pause":                {in: changed(midway(20, pause(0)), waiting(60)), targets: still, stalled: stuck},
		"nothing serves the route":  {in: in(waiting(60), orphaned), targets: still, stalled: v1alpha1.ReasonRouteWithoutParent},
		"a problem of its own":      {in: in(waiting(60), problem), targets: still, stalled: v1alpha1.ReasonServiceConflict},
		"names no generation":       {in: in(waiting(10), after(10), silent), targets: still, stalled: fine, wake: 20 * time.Second},
		"names none and is refused": {in: in(waiting(30), after(10), silent, route(func(r *Route) { r.Unversioned = false })), targets: still, stalled: stuck},
	} {
		t.Run(name, tc.check)
	}
	if got := Compute(in(waiting(60))).Status.Message; got != "weight 20 is not verified after 1m0s: HTTPRoute reviews is not verified: Gateway http-gateway has taken generation 6, not yet 7" {
		t.Errorf("the message is: %s", got)
	}
}

// TestVerifyTimeoutStartsAgain checks that a gateway has the whole time to verify a weight after a problem was fixed. Nothing
// could verify it before.
func TestVerifyTimeoutStartsAgain(t *testing.T) {
	for name, action := range map[string]v1alpha1.VerifyTimeoutAction{"held": v1alpha1.VerifyTimeoutHold, "aborted": v1alpha1.VerifyTimeoutAbort} {
		t.Run(name, func(t *testing.T) {
			in := midway(50, weight(50), pause(0))
			in.Spec.Traffic.OnVerifyTimeout = action
			in.Observed.Routes[0].Problem = &Problem{v1alpha1.ReasonRouteNotFound, "missing"}
			in, _ = passes(in, 4, time.Minute)
			in.Observed.Routes[0].Problem = nil
			in.Observed.Routes[0].Generation, in.Observed.Routes[0].AcceptedGeneration = 8, 7
			in, plan := passes(in, 6, 10*time.Second)
			if stalled := conditionOf(plan, v1alpha1.ConditionStalled); plan.Status.Memory.AbortedRevision != "" || stalled.Reason != v1alpha1.ReasonNotStalled {
				t.Errorf("after less than a minute: %s, %s", targets(plan.Status.Memory), stalled.Message)
			}
			_, plan = passes(in, 2, 10*time.Second)
			if isAborted := plan.Status.Memory.AbortedRevision != ""; isAborted != (name == "aborted") {
				t.Errorf("after a minute: %s", targets(plan.Status.Memory))
			}
		})
	}
}

// TestIgnoredAnswers checks that the status lists route status entries that do not count (T4), and reports at once when
// nothing serves a route.
func TestIgnoredAnswers(t *testing.T) {
	ignored := route(func(r *Route) { r.Ignored = "Gateway a (x/two)" })
	orphaned := route(func(r *Route) { r.Orphaned = true })
	for _, tc := range []struct {
		in              Input
		reason, message string
	}{
		{changed(midway(20, pause(0)), ignored), v1alpha1.ReasonVerified, "the canary Service gets 20 % on every route; ignored status entries: HTTPRoute reviews: Gateway a (x/two)"},
		{changed(midway(20, pause(0)), waiting(5), ignored, orphaned), v1alpha1.ReasonRouteWithoutParent, "HTTPRoute reviews is not verified: Gateway http-gateway has taken generation 6, not yet 7; ignored status entries: HTTPRoute reviews: Gateway a (x/two)"},
	} {
		got := meta.FindStatusCondition(Compute(tc.in).Status.Conditions, v1alpha1.ConditionTrafficRouted)
		if got.Reason != tc.reason || got.Message != tc.message {
			t.Errorf("%s: %s", got.Reason, got.Message)
		}
	}
}

// TestUnverifiedSince checks when that time starts: with the target, or when a gateway no longer accepts it; and not while no
// routes are managed.
func TestUnverifiedSince(t *testing.T) {
	rises := changed(midway(20, weight(50)), pods("b", 2))
	for name, tc := range map[string]struct {
		in   Input
		want *int // seconds ago
	}{
		"verified":           {midway(20, pause(0)), nil},
		"taken back":         {changed(midway(20, pause(0)), route(func(r *Route) { r.AcceptedGeneration = 0 })), ptr.To(0)},
		"waits on":           {changed(midway(20, pause(0)), waiting(7)), ptr.To(7)},
		"a new target":       {rises, ptr.To(0)},
		"a new target waits": {changed(midway(20, pause(0)), waiting(7), aborting), ptr.To(0)},
		"nothing managed":    {changed(firstDeploy(), unverified), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in).Status.Memory.Traffic.UnverifiedSince
			if tc.want == nil && got != nil || tc.want != nil && !got.Equal(ago(*tc.want)) {
				t.Errorf("unverified since %v, want %v seconds ago", got, tc.want)
			}
		})
	}
}

// TestFlappingGateway checks that verifying a target again is no progress. Otherwise a gateway that accepts and refuses it
// again and again would keep the deadline from ever passing.
func TestFlappingGateway(t *testing.T) {
	again := memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedAt, m.Progress.At = nil, ago(100) })
	got := Compute(changed(midway(20, canaryScale(4)), again, memory(func(m *v1alpha1.Memory) {
		m.StepTargets.Scale = canaryScale(4).SetCanaryScale
	}))).Status.Memory
	if got.Traffic.VerifiedAt == nil || !got.Progress.At.Equal(ago(100)) {
		t.Errorf("verified since %v, progress at %v", got.Traffic.VerifiedAt, got.Progress.At)
	}
}

// TestRouteStatuses checks the desired and the last verified weight of each route.
func TestRouteStatuses(t *testing.T) {
	in := changed(midway(20, pause(0)), func(in *Input) {
		late := in.Observed.Routes[0]
		late.Name, late.AcceptedGeneration, late.Pending = "details", 6, "Gateway a has taken generation 6, not yet 7"
		in.Observed.Routes = append(in.Observed.Routes, late)
		in.Prior.Traffic = &v1alpha1.TrafficStatus{Routes: []v1alpha1.RouteStatus{
			{Kind: "HTTPRoute", Name: "reviews", DesiredWeight: 20, VerifiedWeight: ptr.To[int32](10)},
			{Kind: "HTTPRoute", Name: "details", DesiredWeight: 20, VerifiedWeight: ptr.To[int32](10)},
		}}
	})
	want := []v1alpha1.RouteStatus{
		{Kind: "HTTPRoute", Name: "reviews", DesiredWeight: 20, VerifiedWeight: ptr.To[int32](20)},
		{Kind: "HTTPRoute", Name: "details", DesiredWeight: 20, VerifiedWeight: ptr.To[int32](10), Pending: "Gateway a has taken generation 6, not yet 7"},
	}
	got := Compute(in).Status.Traffic
	if diff := cmp.Diff(want, got.Routes); diff != "" || strings.Contains(got.Routes[0].Pending, "Gateway") {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	aborted := Compute(changed(in, aborting)).Status.Traffic.Routes[0]
	if aborted.DesiredWeight != 0 || *aborted.VerifiedWeight != 10 {
		t.Errorf("after an abort: %+v", aborted)
	}
}
