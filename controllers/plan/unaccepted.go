// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// takeRefusedOut takes the mirror and the header routes out of the target when a gateway refuses a route that carries them
// for the first time. Nothing waits for that: a gateway may not serve a route that it refuses. A weight alone is never taken
// back, since every gateway has to support it.
func (p *pass) takeRefusedOut() bool {
	extras := p.extras()
	if len(extras) == 0 || readyOf(p.in.Observed.Stable, p.mem.StableRevision) == 0 {
		return false
	}
	for _, route := range p.in.Observed.Routes {
		record := recordOf(p.mem.Traffic.Routes, route)
		if record == nil || record.Accepted || route.RefusedGeneration < record.Generation || p.isHandedBack(route) {
			continue
		}
		p.mem.StepRefusal = fmt.Sprintf("refused %s in %s %s: %s", quote(strings.Join(extras, " and ")), route.Kind, route.Name, quote(route.Pending))
		p.setTraffic(p.mem.Traffic.Weight, 0, false)
		return true
	}
	return false
}

// extras are the mirror and the header routes in the target, as steps name them.
func (p *pass) extras() []string {
	var extras []string
	if percent := p.mem.Traffic.MirrorPercent; percent > 0 {
		extras = append(extras, describe(v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: &percent}}))
	}
	if p.mem.Traffic.HeaderRoutesActive {
		for i := range p.mem.StepHeaderRoutes {
			extras = append(extras, describe(v1alpha1.Step{SetHeaderRoute: &p.mem.StepHeaderRoutes[i]}))
		}
	}
	return extras
}

// refusedStep holds the steps while what they ask for is refused. It does not hold an abort, nor a promotion, which is
// without a mirror and without header routes.
func (p *pass) refusedStep() *Problem {
	if p.mem.StepRefusal == "" {
		return nil
	}
	return &Problem{Reason: v1alpha1.ReasonStepRefused, Message: fmt.Sprintf(
		"step %s waits: a gateway %s. It was taken out of the routes: edit the steps; or fix the cause, abort and retry", p.stepNumber(), p.mem.StepRefusal)}
}
