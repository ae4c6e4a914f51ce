// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// measured says that the data plane was found to do what all routes are accepted with, where the user wants it measured. It
// is measured once for each target. Where no pod is wanted, or a deletion finds no route, nothing answers.
func (p *pass) measured() bool {
	traffic := p.mem.Traffic
	if p.in.Spec.Traffic.Probe == nil || p.spec.replicas == 0 || !p.isManaging() || traffic.VerifiedAt != nil || len(traffic.Routes) == 0 {
		return true
	}
	if !p.tellsApart(p.in.Observed.Stable, p.mem.StableService) || !p.tellsApart(p.in.Observed.Canary, p.mem.CanaryService) {
		p.waitTraffic("the probe waits until each Service has the endpoints of its own revision alone, settled")
		return false
	}
	request := ProbeRequest{Weight: traffic.Weight, Stable: p.mem.StableService.Revision, Canary: p.mem.CanaryService.Revision}
	for _, route := range traffic.Routes {
		request.CarriedAt = max(request.CarriedAt, route.CarriedAt.UnixMicro())
	}
	found := p.in.Observed.Probe
	if found.ProbeRequest != request {
		found = Probe{}
	}
	if !found.Fits {
		p.plan.Probe = &request
		p.waitTraffic(cmp.Or(found.Pending, fmt.Sprintf("the probe measures weight %d", traffic.Weight)))
	}
	return found.Fits
}

// tellsApart says that whoever answers is known to answer for that Service. Right after it was moved, pods of the other
// revision may do so by either Service, at any weight. One whose own pods are dead is not waited for: it may be for ever.
func (p *pass) tellsApart(service Service, memory v1alpha1.ServiceMemory) bool {
	switch {
	case memory.Revision == "": // somebody else's pods
		return true
	case servesOther(service, memory.Revision):
		return false
	case memory.ReadyAt == nil:
		return p.replicaSet(memory.Revision).Ready == 0
	default:
		return p.reached(memory.ReadyAt.Add(p.spec.settle))
	}
}
