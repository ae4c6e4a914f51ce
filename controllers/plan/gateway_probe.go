// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// measurement is open when the data plane was measured to do what all routes are accepted with, where the user wants it
// measured; until then it also returns what to measure. Each target is measured once. Where no pod is wanted, or a deletion
// finds no route, nothing answers.
func (gatewayCanary) measurement(v view) (gate, *ProbeRequest) {
	traffic, observed := v.mem.Traffic, v.in.Observed
	if v.in.Spec.Traffic.Probe == nil || v.spec.replicas == 0 || !v.isManaging() || traffic.VerifiedAt != nil || len(traffic.Routes) == 0 {
		return gate{}, nil
	}
	for _, distinct := range []gate{v.endpointsDistinct(observed.Stable, v.mem.StableService), v.endpointsDistinct(observed.Canary, v.mem.CanaryService)} {
		if distinct.shut {
			distinct.message = "the probe waits until each Service has the endpoints of its own revision alone, settled"
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
	return waitFor("%s", cmp.Or(found.Pending, fmt.Sprintf("the probe measures weight %d", traffic.Weight))), &request
}

// endpointsDistinct is open when only pods of its own revision can answer for a Service. Right after a move, pods of the
// other revision may do so by either Service, at any weight. A Service whose own pods are dead is not waited for: they may
// never come back.
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
