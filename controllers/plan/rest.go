// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "github.com/canaryrollout/canaryrollout/api/v1alpha1"

// rest ends whatever was in flight.
func (p *pass) rest() {
	p.mem.CurrentRevision = p.mem.StableRevision
	p.mem.StepIndex, p.mem.StepsHash = 0, ""
	p.mem.StepWeight, p.mem.StepMirrorPercent, p.mem.StepHeaderRoutes, p.mem.StepScale = 0, 0, nil, nil
	p.enter(v1alpha1.PhaseIdle)
}

// resting looks whether the template asks for another revision than the stable one.
func (p *pass) resting() {
	target := p.target()
	switch {
	case target == "" || target == p.mem.AbortedRevision:
		return
	case target == p.mem.StableRevision:
		p.mem.AbortedRevision, p.mem.AbortReason = "", ""
	case p.hold():
	case len(p.mem.LeavingServices) > 0: // their clients would get the next revision, or lose this one
		p.wait("%s", p.pending)
	case p.spec.replicas == 0:
		p.start(target)
		p.enter(v1alpha1.PhasePromoting)
	default:
		p.start(target)
	}
}

// isAborted says that the template in spec was aborted and waits for a retry or for another template.
func (p *pass) isAborted() bool {
	return p.mem.AbortedRevision != "" && p.mem.AbortedRevision == p.target()
}
