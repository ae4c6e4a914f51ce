// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// stepping walks the steps towards the current revision.
func (p *pass) stepping() {
	switch target := p.target(); {
	case target != "" && target != p.mem.CurrentRevision:
		p.giveWay(target)
	case p.fleeDyingCanary():
	case p.mem.StepsHash != p.in.Observed.StepsHash:
		p.startOver()
	case p.takeRefusedOut():
	case p.hold():
	case p.spec.replicas == 0:
		p.wait("spec.replicas is 0: the steps wait until it is raised")
	case int(p.mem.StepIndex) >= len(p.in.Spec.Steps):
		p.event(EventPromoting, "the steps are done: promoting revision %s", p.mem.CurrentRevision)
		p.enter(v1alpha1.PhasePromoting)
	case p.moveCanary(p.canarySize()):
	case p.followSteps():
	case p.stepDone():
		p.nextStep()
		if !p.hold() {
			p.followSteps()
		}
	}
}

// hold says whether something forbids to go forward: a problem to be put right, or spec.paused.
func (p *pass) hold() bool {
	switch problem := p.problem(); {
	case problem != nil:
		p.wait("%s", problem.Message)
	case p.in.Spec.Paused:
		p.paused = v1alpha1.ReasonSpecPaused
		p.wait("held by spec.paused: set it to false to go on")
	default:
		return false
	}
	return true
}

// start begins a release.
func (p *pass) start(revision string) {
	p.mem.CurrentRevision = revision
	p.mem.AbortedRevision, p.mem.AbortReason = "", ""
	p.mem.StepWeight, p.mem.StepMirrorPercent, p.mem.StepHeaderRoutes, p.mem.StepScale = 0, 0, nil, nil
	p.enter(v1alpha1.PhaseStepping)
	p.enterStep(0)
	p.began(revision)
	p.event(EventStarted, "revision %s (%s) starts with %s; stable is %s",
		revision, p.in.Observed.Template.Images, Quantity(int32(len(p.in.Spec.Steps)), "step"), p.mem.StableRevision)
}

// startOver goes back to the first step, since the steps were edited. Weight and scale stay where they are. A mirror and
// header routes go unless the new steps have them, too: they may be what could not be written, and was edited for that.
func (p *pass) startOver() {
	p.event(EventStepsChanged, "the steps were edited: revision %s starts over at step 1, weight and scale stay where they are", p.mem.CurrentRevision)
	if p.mem.StepRefusal != "" { // its own step brings it back, in a list that has one
		p.mem.StepRefusal, p.mem.StepMirrorPercent = "", 0
		p.setHeaderRoutes(nil)
	}
	has := func(is func(v1alpha1.Step) bool) bool { return slices.ContainsFunc(p.in.Spec.Steps, is) }
	if !has(func(step v1alpha1.Step) bool {
		return step.SetMirrorRoute != nil && ptr.Deref(step.SetMirrorRoute.Percent, 0) == p.mem.StepMirrorPercent
	}) {
		p.mem.StepMirrorPercent = 0
	}
	p.setHeaderRoutes(slices.DeleteFunc(slices.Clone(p.mem.StepHeaderRoutes), func(known v1alpha1.SetHeaderRoute) bool {
		return !has(func(step v1alpha1.Step) bool {
			return step.SetHeaderRoute != nil && equality.Semantic.DeepEqual(*step.SetHeaderRoute, known)
		})
	}))
	p.enterStep(0)
}

// enterStep makes a step the current one, and what it asks for the target.
func (p *pass) enterStep(index int) {
	p.mem.StepIndex, p.mem.TransitionedAt = int32(index), p.now()
	p.mem.PauseClockStoppedAt, p.mem.PauseClockStoppedMilliseconds = nil, 0
	p.mem.StepsHash = p.in.Observed.StepsHash
	if index >= len(p.in.Spec.Steps) {
		return
	}
	switch step := p.in.Spec.Steps[index]; {
	case step.SetWeight != nil:
		p.mem.StepWeight = *step.SetWeight
	case step.SetCanaryScale != nil && step.SetCanaryScale.MatchTrafficWeight != nil:
		p.mem.StepScale = nil
	case step.SetCanaryScale != nil:
		p.mem.StepScale = step.SetCanaryScale.DeepCopy()
	case step.SetHeaderRoute != nil:
		p.setHeaderRoute(*step.SetHeaderRoute.DeepCopy())
	case step.SetMirrorRoute != nil:
		p.mem.StepMirrorPercent = ptr.Deref(step.SetMirrorRoute.Percent, 0)
	case step.Pause != nil:
		p.enterPause(step.Pause)
	}
}

// withHeaderRoute replaces the route of that name among those in force, or removes it when it matches nothing.
func (p *pass) withHeaderRoute(route v1alpha1.SetHeaderRoute) []v1alpha1.SetHeaderRoute {
	routes := slices.DeleteFunc(slices.Clone(p.mem.StepHeaderRoutes), func(known v1alpha1.SetHeaderRoute) bool {
		return known.Name == route.Name
	})
	if len(route.Matches) > 0 {
		routes = append(routes, route)
	}
	if len(routes) == 0 {
		return nil
	}
	return routes
}

// setHeaderRoute puts the route in force if a status has room for it. A step whose route is not in force is not done.
func (p *pass) setHeaderRoute(route v1alpha1.SetHeaderRoute) {
	if routes := p.withHeaderRoute(route); fitsMemory(routes) {
		p.setHeaderRoutes(routes)
	}
}

// setHeaderRoutes changes the header routes that the steps ask for. Those that are in force change at once.
func (p *pass) setHeaderRoutes(routes []v1alpha1.SetHeaderRoute) {
	if equality.Semantic.DeepEqual(routes, p.mem.StepHeaderRoutes) {
		return
	}
	p.mem.StepHeaderRoutes = routes
	if p.mem.Traffic.HeaderRoutesActive {
		p.voidProof()
		p.mem.Traffic.HeaderRoutesActive = len(routes) > 0
	}
}

// moveCanary points the canary Service at the current revision once that has its pods and the Service carries
// nothing (T1). It says whether it did, or has to be waited for.
func (p *pass) moveCanary(size int32) bool {
	current := p.mem.CurrentRevision
	if p.mem.CanaryService.Revision == current || size == 0 {
		return false
	}
	if !p.waitsForEndpoints(size) && !p.isSized(size) {
		return false
	}
	if ReachesCanary(p.mem.Traffic) {
		return false
	}
	if p.isSettled() {
		p.moveService(&p.mem.CanaryService, current)
	}
	return true
}

// waitsForEndpoints says that the pods of the current revision are there, and may become ready only as endpoints of a
// Service: a load balancer opens their readiness gates for its targets. The template says so; an admission webhook may
// have added gates that it does not name, so half of the progress deadline without a ready pod says so, too. The canary
// Service carries nothing when it moves, and its traffic waits for ready endpoints (T2).
func (p *pass) waitsForEndpoints(size int32) bool {
	rs, since := p.replicaSet(p.mem.CurrentRevision), p.prior.Progress.At
	switch {
	case !rs.Current || rs.Replicas < size || rs.Ready > 0:
		return false
	case rs.Gated:
		return true
	default:
		return since != nil && p.reached(since.Add(p.spec.deadline/2))
	}
}

// followSteps brings the weight, the mirror and the header routes in force to what the steps ask for: down at once, up
// by T2. A mirror or header routes come when the gateways have accepted the routes without them: what they refuse then is what
// came.
func (p *pass) followSteps() bool {
	if p.followsSteps() {
		return false
	}
	traffic, want, mirror, headers := p.mem.Traffic, p.mem.StepWeight, p.mem.StepMirrorPercent, len(p.mem.StepHeaderRoutes) > 0
	grows := want > traffic.Weight || mirror > traffic.MirrorPercent || headers && !traffic.HeaderRoutesActive
	if grows && !p.canaryCanServe(max(p.needFor(loadOf(want, mirror)), 1)) {
		want, mirror, headers = min(want, traffic.Weight), min(mirror, traffic.MirrorPercent), headers && traffic.HeaderRoutesActive
	}
	if (mirror > traffic.MirrorPercent || headers && !traffic.HeaderRoutesActive) && !p.isProven() {
		mirror, headers = min(mirror, traffic.MirrorPercent), headers && traffic.HeaderRoutesActive
	}
	p.setTraffic(want, mirror, headers)
	return true
}

// followsSteps says that what the steps ask for by now is the target.
func (p *pass) followsSteps() bool {
	mem := p.mem
	return mem.Traffic.Weight == mem.StepWeight && mem.Traffic.MirrorPercent == mem.StepMirrorPercent &&
		mem.Traffic.HeaderRoutesActive == (len(mem.StepHeaderRoutes) > 0)
}

func (p *pass) canaryCanServe(need int32) bool {
	current := p.mem.CurrentRevision
	if !p.isSized(need) {
		return false
	}
	if p.mem.CanaryService.Revision != current {
		p.wait("waiting to move Service %s to revision %s", p.in.Observed.Canary.Name, current)
		return false
	}
	return p.canServe(p.in.Observed.Canary, p.mem.CanaryService, need)
}

// stepDone says whether the current step has all that it asked for.
func (p *pass) stepDone() bool {
	switch step := p.in.Spec.Steps[p.mem.StepIndex]; {
	case step.SetCanaryScale != nil:
		return p.isSized(p.canarySize())
	case step.SetHeaderRoute != nil && !fitsMemory(p.withHeaderRoute(*step.SetHeaderRoute)):
		p.stall(v1alpha1.ReasonRouteLimitExceeded, "step %s: with setHeaderRoute %s the header routes would hold more than %d KiB: "+
			"use fewer or shorter matches, or remove header routes by earlier steps", p.stepNumber(), step.SetHeaderRoute.Name, maxHeaderRoutes>>10)
		return false
	case step.Pause != nil:
		return p.isServing() && p.pauseDone(step.Pause)
	default: // setWeight, setHeaderRoute, setMirrorRoute
		return p.isProven()
	}
}

// isSized says that the current revision has that many pods available.
func (p *pass) isSized(size int32) bool {
	current := p.mem.CurrentRevision
	if p.available(current) < size {
		p.waitForPods(current, size)
		return false
	}
	return true
}

// nextStep ends the current step, and begins the next one.
func (p *pass) nextStep() {
	p.event(EventStepCompleted, "step %s (%s) of revision %s is done",
		p.stepNumber(), describe(p.in.Spec.Steps[p.mem.StepIndex]), p.mem.CurrentRevision)
	p.enterStep(int(p.mem.StepIndex) + 1)
}

func (p *pass) stepNumber() string {
	total := len(p.in.Spec.Steps)
	return fmt.Sprintf("%d/%d", min(int(p.mem.StepIndex)+1, total), total)
}

// describe names a step as its manifest does.
func describe(step v1alpha1.Step) string {
	switch {
	case step.SetWeight != nil:
		return fmt.Sprintf("setWeight %d", *step.SetWeight)
	case step.SetHeaderRoute != nil:
		return "setHeaderRoute " + step.SetHeaderRoute.Name
	case step.SetMirrorRoute != nil:
		return fmt.Sprintf("setMirrorRoute %d", ptr.Deref(step.SetMirrorRoute.Percent, 0))
	case step.SetCanaryScale != nil:
		return "setCanaryScale"
	case step.Pause != nil && step.Pause.Duration != nil:
		return "pause " + step.Pause.Duration.Duration.String()
	default:
		return "pause"
	}
}
