// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

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

// TestProbeBeforeMove checks that a probe does not wait for the move of a Service, which waits for the probe (T1), nor for endpoints
// that do not come: a rollout that has lost a verification comes to rest.
func TestProbeBeforeMove(t *testing.T) {
	lost := memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedAt = nil })
	toCanary := func(revision string) change {
		return memory(func(m *v1alpha1.Memory) {
			m.CanaryService = v1alpha1.ServiceMemory{Name: "reviews-canary", Revision: revision, Narrowed: true}
		})
	}
	stableToB := memory(func(m *v1alpha1.Memory) {
		m.StableService = v1alpha1.ServiceMemory{Name: "reviews-stable", Revision: "b", Narrowed: true}
	})
	withoutPort := func(in *Input) {
		in.Prior.Memory.CanaryService.ReadyAt = nil
		in.Observed.Canary.Endpoints = []Endpoints{{Revision: "b", Total: 1, LacksPort: "no port http"}}
	}
	atA := func(in *Input) { in.Observed.Canary.Revision = "a"; canaryEndpoints("a", 4)(in) }
	toMove := func(change change) Input {
		return changed(midway(0, weight(25), pause(0)), toCanary("b"), atA, lost, change)
	}
	noPort := func(change change) Input { return changed(midway(0, weight(25), pause(0)), withoutPort, lost, change) }
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"a step":                    {toMove(nothing), "Stepping 1: 25% a/b"},
		"an abort":                  {toMove(command("abort=true")), "Idle 0: 0% a/a aborted b"},
		"a promotion":               {toMove(command("promote=full")), "Idle 0: 0% b/b"},
		"the stable Service":        {changed(promoting(100), stableToB, lost), "Idle 0: 0% b/b"},
		"the way back":              {changed(rollingBack(0), toCanary("a"), aborted("b"), lost), "Idle 0: 0% a/a aborted b"},
		"an abort without a port":   {noPort(command("abort=true")), "Idle 0: 0% a/a aborted b"},
		"a template without a port": {noPort(template("a")), "Idle 0: 0% a/a"},
	} {
		t.Run(name, func(t *testing.T) {
			in := tc.in
			in.Spec.Traffic.Probe = &v1alpha1.Probe{URL: "http://gateway/reviews", RevisionHeader: "X-Revision"}
			for range 100 {
				plan := Compute(in)
				if in.Observed.Probe = (Probe{}); plan.Probe() != nil {
					in.Observed.Probe = Probe{ProbeRequest: *plan.Probe(), Fits: true}
				}
				for _, action := range plan.Actions {
					carryOutOn(&in, action)
				}
				follow(&in, plan)
				in.Now = in.Now.Add(10 * time.Second)
			}
			if got := targets(in.Prior.Memory); got != tc.want {
				t.Errorf("%s, want %s: %s", got, tc.want, in.Prior.Message)
			}
		})
	}
}

// carryOutOn carries out what a plan writes to Services, sizes and annotations. All pods are ready at once.
func carryOutOn(in *Input, action Action) {
	services := []*Service{&in.Observed.Stable, &in.Observed.Canary}
	switch a := action.(type) {
	case PointService:
		for _, s := range services {
			if s.Name == a.Name {
				s.Revision, s.Endpoints = a.Revision, []Endpoints{{Revision: a.Revision, Ready: 4, Total: 4}}
			}
		}
	case ScaleReplicaSet:
		revision := strings.TrimPrefix(a.Name, "reviews-")
		pods(revision, a.Replicas)(in)
		for _, s := range services {
			if s.Revision == revision && endpointsOf(*s, revision).LacksPort == "" {
				s.Endpoints = []Endpoints{{Revision: revision, Ready: a.Replicas, Total: a.Replicas}}
			}
		}
	case RemoveAnnotations:
		in.Commands = Commands{}
	}
}
