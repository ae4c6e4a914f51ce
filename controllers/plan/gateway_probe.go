// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// measurement is open when a probe has measured that the data plane follows the accepted routes, or when the user asks for no
// probe. Until then it also returns what to measure. Each target is measured once. A rollout without pods, or a deletion
// that finds no route, has nothing to measure.
func (gatewayCanary) measurement(v view) (gate, *ProbeRequest) {
	traffic, observed := v.mem.Traffic, v.in.Observed
	if v.in.Spec.Traffic.Probe == nil || v.spec.replicas == 0 || !v.isManaging() || traffic.VerifiedAt != nil || len(traffic.Routes) == 0 {
		return gate{}, nil
	}
	for _, distinct := range []gate{
		v.endpointsProbed(observed.Stable, v.mem.StableService, traffic.Weight == 100),
		v.endpointsProbed(observed.Canary, v.mem.CanaryService, !v.traffic().reachesCanary()),
	} {
		if distinct.shut {
			distinct.message = "the probe waits until each Service has only the endpoints of its own revision, and they have settled"
			return distinct, nil
		}
	}
	request := ProbeRequest{Weight: traffic.Weight, Stable: v.mem.StableService.Revision, Canary: v.mem.CanaryService.Revision}
	for _, route := range traffic.Routes {
		request.CarriedAt = max(request.CarriedAt, route.CarriedAt.UnixMicro())
	}
	found := observed.Probe
	if found.ProbeRequest != request {
		found = Probe{}
	}
	if found.Fits {
		return gate{}, nil
	}
	return waitFor("%s", cmp.Or(found.Pending, fmt.Sprintf("the probe is measuring weight %d", traffic.Weight))), &request
}

// steady does not wait for the endpoints of a Service whose pods are dead: isServing does, where it matters.
func (gatewayCanary) steady(v view) (time.Time, gate) {
	if !v.isVerified() {
		return time.Time{}, waitFor("weight %d is not verified", v.mem.Traffic.Weight)
	}
	since := v.mem.Traffic.VerifiedAt.Time
	for _, memory := range []v1alpha1.ServiceMemory{v.mem.StableService, v.mem.CanaryService} {
		if memory.ReadyAt != nil {
			since = latest(since, memory.ReadyAt.Time)
		}
	}
	since = since.Add(v.spec.settle)
	for _, distinct := range []gate{
		v.endpointsDistinct(v.in.Observed.Stable, v.mem.StableService), v.endpointsDistinct(v.in.Observed.Canary, v.mem.CanaryService), v.until(since),
	} {
		if distinct.shut {
			distinct.message = "the traffic has not settled yet"
			return time.Time{}, distinct
		}
	}
	return since, gate{}
}

// endpointsProbed is open when a probe can tell the requests to a Service from those to the other one. A Service that should get
// none may move only after that is measured (T1), so the measurement must not wait for the move. Nor does it wait for endpoints
// that such a Service may never have.
func (v view) endpointsProbed(service Service, memory v1alpha1.ServiceMemory, isIdle bool) gate {
	switch {
	case !isIdle || memory.Revision == "" || memory.ReadyAt != nil:
		return v.endpointsDistinct(service, memory)
	case service.Revision != memory.Revision:
		return gate{}
	default:
		return gate{shut: servesOther(service, memory.Revision)}
	}
}

// endpointsDistinct is open when only pods of its own revision can answer for a Service. Right after a move, either Service
// may still send requests to pods of the other revision, at any weight. It does not wait for a Service whose own pods are
// dead: they may never come back.
func (v view) endpointsDistinct(service Service, memory v1alpha1.ServiceMemory) gate {
	switch {
	case memory.Revision == "": // somebody else's pods
		return gate{}
	case servesOther(service, memory.Revision):
		return gate{shut: true}
	case memory.ReadyAt == nil:
		return gate{shut: v.replicaSet(memory.Revision).Ready > 0}
	default:
		return v.until(memory.ReadyAt.Add(v.spec.settle))
	}
}
