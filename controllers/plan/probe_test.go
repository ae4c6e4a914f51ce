// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestProbe checks T4 with a probe: a target that every gateway has accepted is not verified before the responses have its
// share, which nothing else could cause. Each target is measured once, and an abort does not wait for that.
func TestProbe(t *testing.T) {
	request := ProbeRequest{Weight: 20, Stable: "a", Canary: "b", CarriedAt: ago(60).UnixMicro()}
	accepted := memory(func(m *v1alpha1.Memory) {
		m.Traffic.VerifiedAt, m.Traffic.UnverifiedSince, m.Traffic.Routes[0].CarriedAt = nil, ago(60), ago(60)
	})
	probed := func(found Probe) change {
		return func(in *Input) {
			in.Spec.Traffic.Probe = &v1alpha1.Probe{URL: "http://gateway/reviews", RevisionHeader: "X-Revision"}
			in.Observed.Probe = found
		}
	}
	stableReady := func(at *metav1.MicroTime) change {
		return memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt = at })
	}
	const apart = "the probe waits until each Service has only the endpoints of its own revision, and they have settled"
	former := request
	former.CarriedAt--
	at20 := func(changes ...change) Input { return changed(midway(20, weight(20), pause(0)), changes...) }
	for name, tc := range map[string]struct {
		in       Input
		want     *ProbeRequest
		verified bool
		says     string
	}{
		"not measured yet":     {at20(accepted, probed(Probe{})), &request, false, "the probe is measuring weight 20"},
		"does not fit":         {at20(accepted, probed(Probe{ProbeRequest: request, Pending: "38 of 100"})), &request, false, "38 of 100"},
		"fits":                 {at20(accepted, probed(Probe{ProbeRequest: request, Fits: true})), nil, true, ""},
		"another one fits":     {at20(accepted, probed(Probe{ProbeRequest: former, Fits: true})), &request, false, "the probe is measuring weight 20"},
		"verified before":      {at20(probed(Probe{})), nil, true, ""},
		"not accepted":         {at20(accepted, probed(Probe{}), route(func(r *Route) { r.AcceptedGeneration = 6 })), nil, false, ""},
		"no probe":             {at20(accepted), nil, true, ""},
		"no route to delete":   {changed(rollingBack(0), unverified, probed(Probe{}), deleted(1), route(func(r *Route) { *r = Route{Kind: r.Kind, Name: r.Name} })), nil, true, ""},
		"an abort":             {at20(probed(Probe{}), aborting), nil, false, ""},
		"no pod is wanted":     {at20(accepted, probed(Probe{}), func(in *Input) { in.Spec.Replicas = ptr.To[int32](0) }), nil, true, ""},
		"migration, untouched": {changed(promoting(0), unowned, alive("b", 3), accepted, probed(Probe{})), nil, true, ""},
		"migration, 100": {changed(promoting(100), unowned, accepted, probed(Probe{})), &ProbeRequest{Weight: 100, Canary: "b", CarriedAt: request.CarriedAt}, false,
			"the probe is measuring weight 100"},
		"b behind both":       {at20(accepted, probed(Probe{}), stableEndpoints("b", 4)), nil, false, apart},
		"a is on its way":     {at20(accepted, probed(Probe{}), stableReady(nil), stableEndpoints("a", 3)), nil, false, apart},
		"a settles":           {at20(accepted, probed(Probe{}), stableReady(ago(4))), nil, false, apart},
		"a has settled":       {at20(accepted, probed(Probe{}), stableReady(ago(5))), &request, false, "the probe is measuring weight 20"},
		"a is dead":           {at20(accepted, probed(Probe{}), stableReady(nil), alive("a", 0)), &request, false, "the probe is measuring weight 20"},
		"taken back from b":   {changed(promoting(0), stableAt("b"), alive("b", 0), probed(Probe{})), nil, false, ""},
		"held while aborting": {changed(rollingBack(0), memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedAt = nil }), probed(Probe{})), &ProbeRequest{Stable: "a", Canary: "b", CarriedAt: ago(3600).UnixMicro()}, false, "the probe is measuring weight 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in)
			if diff := cmp.Diff(tc.want, got.Probe()); diff != "" {
				t.Errorf("wants to be measured (-want +got):\n%s", diff)
			}
			if verified := got.Status.Memory.Traffic.VerifiedAt != nil; verified != tc.verified {
				t.Errorf("verified: %t", verified)
			}
			if routed := conditionOf(got, v1alpha1.ConditionTrafficRouted); !strings.Contains(routed.Message, tc.says) {
				t.Errorf("says %q, want %q", routed.Message, tc.says)
			}
		})
	}
}
