// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Plan is what a pass does: the actions in order, then one status write when Status differs from the prior one, then
// the events. WakeAt is when to look again if nothing happens before; zero means never.
type Plan struct {
	Actions []Action
	Status  v1alpha1.CanaryRolloutStatus
	Events  []Event
	WakeAt  time.Time
	// Probe is what to measure until the next plan; nil for nothing.
	Probe *ProbeRequest
}

// Event tells a person about a transition. Events are emitted only after the status that they speak of was written.
type Event struct {
	// Warning makes it a Warning; Normal otherwise.
	Warning bool
	// Reason is stable and documented.
	Reason string
	// Repeats says that it may come again and again, by a cause outside: it is then told once, with a count.
	Repeats bool
	// Message is for people.
	Message string
}

// Compute makes the plan of one pass.
func Compute(in Input) Plan {
	p := &pass{in: in, spec: newSettings(&in.Spec)}
	for i := range in.Prior.History {
		p.history = append(p.history, *in.Prior.History[i].DeepCopy())
	}
	if in.Prior.Memory != nil {
		p.prior = *in.Prior.Memory.DeepCopy()
		upgrade(&p.prior, &p.in.Spec, in.Observed.StepsHash)
		p.prior.StepIndex = max(p.prior.StepIndex, 0)
		clampTimes(&p.prior, in.Now)
		p.mem = *p.prior.DeepCopy()
	}
	if in.Spec.Replicas == nil {
		p.spec.replicas = p.runningSize()
	}
	if why := unsupported(in.Prior.Memory); why != "" {
		p.leave(why)
		return p.plan
	}
	switch {
	case p.isTerminating():
		p.terminate()
	case in.Prior.Memory == nil:
		p.begin()
	default:
		p.reconcile()
	}
	p.report()
	return p.plan
}

// reconcile is a pass over a rollout that is not being deleted.
func (p *pass) reconcile() {
	p.nameServices()
	p.checkShared()
	p.addFinalizer()
	p.setReplicas()
	p.routeActions()
	p.serviceActions()
	p.commandActions()
	p.replicaSetActions()
	p.handBackServices()

	p.recognise()
	p.prove()
	p.warnLostProof()
	p.keepRoutes()
	p.watchServices()
	p.watchDraining()
	p.keepPauseClock()
	if p.renameServices() {
		p.waitsForProof()
	} else if !p.command() {
		p.advance()
	} else if p.isGoingForward() {
		p.fleeDyingCanary() // nothing that a user asks for may hold that up
	}
	p.keepLoad()
	p.keepVerifyTimeout()
	p.keepDeadline()
}

// advance makes at most one transition of the state machine.
func (p *pass) advance() {
	switch p.mem.Phase {
	case v1alpha1.PhaseStepping:
		p.stepping()
	case v1alpha1.PhasePromoting:
		p.promoting()
	case v1alpha1.PhaseRollingBack:
		p.returning()
	default:
		p.resting()
	}
}

func (p *pass) isGoingForward() bool {
	return p.mem.Phase == v1alpha1.PhaseStepping || p.mem.Phase == v1alpha1.PhasePromoting
}

// recognise remembers the template, so that an unchanged one costs no request.
func (p *pass) recognise() {
	if template := p.in.Observed.Template; template.Revision != "" {
		p.mem.Template = v1alpha1.TemplateMemory{Hash: template.Hash, Revision: template.Revision}
	}
}

// enter changes the phase.
func (p *pass) enter(phase v1alpha1.Phase) {
	p.mem.Phase, p.mem.StepRefusal = phase, ""
	p.mem.TransitionedAt = p.now()
}
