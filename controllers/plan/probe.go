// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
)

// measured says that the data plane was found to do what all routes are accepted with, where the user wants it measured. It
// is measured once for each target. A deletion that found no route any more has nothing to measure.
func (p *pass) measured() bool {
	traffic := p.mem.Traffic
	if p.in.Spec.Traffic.Probe == nil || !p.isManaging() || traffic.VerifiedAt != nil || len(traffic.Routes) == 0 {
		return true
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
