// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const (
	// terminationPatience is how long a deletion waits for traffic to be handed back in good order.
	terminationPatience = 60 * time.Second
	// lastAttempts is how long after that it still tries to write what can be written.
	lastAttempts = 30 * time.Second
)

// terminate hands traffic back to the stable revision, and then lets the rollout go. With --cascade=orphan the
// stable ReplicaSet serves on, found by Services whose selectors are the user's own again.
func (p *pass) terminate() {
	switch {
	case !p.in.HasFinalizer:
	case p.in.Prior.Memory == nil:
		p.act(RemoveFinalizer{"nothing was touched"})
	case p.mustLetGo() != "":
		p.letGo(p.mustLetGo())
	default:
		p.handBack()
	}
}

func (p *pass) isTerminating() bool { return !p.in.DeletedAt.IsZero() }

func (p *pass) handBack() {
	p.checkShared()
	p.routeActions()
	p.serviceActions()
	for _, rs := range p.in.Observed.ReplicaSets {
		p.scale(rs)
	}
	p.prove()
	p.watchServices()
	p.watchDraining()
	p.handBackTraffic()
	p.reached(p.in.DeletedAt.Add(terminationPatience))
}

func (p *pass) handBackTraffic() {
	mem, observed := &p.mem, p.in.Observed
	switch {
	case mem.StableRevision == "":
		p.handBackFirstDeploy()
	case mem.Phase == v1alpha1.PhaseStepping, mem.Phase == v1alpha1.PhasePromoting:
		p.goBack()
	case mem.Phase == v1alpha1.PhaseRollingBack:
		p.returning()
	case observed.Stable.isOnTheWayTo(mem.StableRevision), observed.Canary.isOnTheWayTo(mem.StableRevision):
		p.wait("waiting for both Services to select the stable revision")
	case p.hasOtherPods():
		p.wait("waiting for the other revisions to drain")
	case p.isSettled():
		p.event(EventTerminated, "traffic is with revision %s; the Services and routes are the user's own again", mem.StableRevision)
		p.release()
	}
}

// isOnTheWayTo says that a Service that may be written does not select a revision yet.
func (s Service) isOnTheWayTo(revision string) bool {
	return s.Found && s.Problem == nil && s.Revision != revision
}

// handBackFirstDeploy has no stable revision to go back to: what the stable Service selects without us serves on.
func (p *pass) handBackFirstDeploy() {
	switch {
	case ReachesCanary(p.mem.Traffic):
		p.returnTraffic()
	case p.mem.CanaryService.Revision == "" || p.isSettled():
		p.release()
	}
}

func (p *pass) hasOtherPods() bool {
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Revision != p.mem.StableRevision && rs.Replicas > 0 {
			return true
		}
	}
	return false
}

// release takes the hash out of all selectors, which changes no endpoint any more, and then the finalizer.
func (p *pass) release() {
	services := append([]Service{p.in.Observed.Stable, p.in.Observed.Canary}, p.in.Observed.Leaving...)
	for _, service := range services {
		if service.Found && service.Revision != "" && p.managed(service) {
			p.act(PointService{Reason: "the rollout goes: the selector is the user's own again", Name: service.Name})
		}
	}
	p.act(RemoveFinalizer{"traffic was handed back"})
}

// managed says that the hash in a Service's selector is of our making.
func (p *pass) managed(service Service) bool {
	return service.Problem == nil && (p.prior.StableService.Revision != "" || p.prior.CanaryService.Revision != "")
}

// mustLetGo says why a deletion cannot wait any longer, or is empty.
func (p *pass) mustLetGo() string {
	switch {
	case p.in.Observed.NamespaceTerminating:
		return "the namespace is terminating"
	case !p.in.Now.Before(p.in.DeletedAt.Add(terminationPatience)):
		return "traffic could not be handed back within " + terminationPatience.String()
	case p.spec.replicas > 0 && p.podsAreGone():
		return "no pods are left"
	default:
		return ""
	}
}

func (p *pass) podsAreGone() bool {
	for _, rs := range p.in.Observed.ReplicaSets {
		if rs.Replicas > 0 || rs.Desired > 0 {
			return false
		}
	}
	return true
}

// letGo writes what can be written. Missing objects never block it, and neither do writes that keep failing: since when
// that is tried goes to memory before the first of them.
func (p *pass) letGo(why string) {
	if p.mem.ForcedReleaseSince == nil {
		p.mem.ForcedReleaseSince = p.now()
		p.reached(p.mem.ForcedReleaseSince.Add(lastAttempts))
		p.wait("letting go because %s", why)
		return
	}
	if p.reached(p.mem.ForcedReleaseSince.Add(lastAttempts)) {
		p.act(RemoveFinalizer{Reason(why)})
	} else {
		isBack := p.returnBlindly(Reason(why))
		if p.mem.StableRevision != "" && p.hasOtherPods() && !p.in.Observed.NamespaceTerminating {
			if isBack {
				p.endOthers(Reason(why))
			}
			return // the user's own selectors would let them in again
		}
		p.release()
	}
	p.warn(EventTerminated, "let go because %s", why)
}

// returnBlindly brings all traffic to the stable Service without waiting for proof, and says whether every route shows
// that. Where nothing answers but the canary, it goes on doing so: there is nothing better to hand over to.
func (p *pass) returnBlindly(why Reason) bool {
	if ready(p.in.Observed.Stable) == 0 && ready(p.in.Observed.Canary) > 0 {
		return false
	}
	isBack := true
	for _, route := range p.in.Observed.Routes {
		if route.Found && route.Problem == nil && (route.Weight != 0 || route.Mirror != 0 || route.Headers != HeadersNone) {
			isBack = false
			p.act(SetTraffic{Reason: why, Kind: route.Kind, Name: route.Name})
		}
	}
	return isBack
}

// endOthers leaves the stable revision alone behind both Services, and then in pods, if it can answer.
func (p *pass) endOthers(why Reason) {
	observed, stable := p.in.Observed, p.mem.StableRevision
	if p.replicaSet(stable).Ready == 0 {
		return
	}
	p.mem.StableService.Revision, p.mem.CanaryService.Revision = stable, stable
	for _, service := range []Service{observed.Stable, observed.Canary} {
		if service.Found && service.Problem == nil && service.Revision != stable {
			p.act(PointService{Reason: why, Name: service.Name, Revision: stable})
		}
	}
	for _, rs := range observed.ReplicaSets {
		if rs.Revision != stable && rs.Desired > 0 && !p.isReachable(rs.Revision) {
			p.act(ScaleReplicaSet{Reason: why, Name: rs.Name, MinReadySeconds: rs.MinReadySeconds})
		}
	}
}
