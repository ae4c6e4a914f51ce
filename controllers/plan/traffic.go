// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// routeActions makes every route carry the target in memory (T5, T6). What was proven of a route that carries it no more
// is void first, and the repair left to the pass that follows: were both done in one pass and its status lost, the next
// one would find the target carried, and an old proof for it (T4).
func (p *pass) routeActions() {
	if !p.mayWriteRoutes() {
		return
	}
	for _, route := range p.in.Observed.Routes {
		if !route.Found || route.Problem != nil || p.carries(route) || !p.canExpress(route) || p.managedRoute(route) == nil {
			continue
		}
		if record := recordOf(p.prior.Traffic.Routes, route); record != nil {
			p.warnOverwritten(route, *record)
			continue
		}
		if !p.mayCarry(route) {
			continue
		}
		act := SetTraffic{Kind: route.Kind, Name: route.Name}
		act.Weight, act.Mirror, act.HeaderRoutes = p.wanted(route)
		act.Reason = Reason(trafficReason(route, act))
		p.act(act)
	}
}

// canExpress says that the target is a whole number in the rules of the route that it shares with others.
func (p *pass) canExpress(route Route) bool {
	weight, _, _ := p.wanted(route)
	return int64(route.Total)*int64(weight)%100 == 0
}

// warnOverwritten names who wrote into a route that carried the target already, and what (T6). The record of that goes
// with the status of this pass, so each foreign write is reported once. A route that was deleted and created again was
// not overwritten.
func (p *pass) warnOverwritten(route Route, record v1alpha1.RouteMemory) {
	what := p.overwritten(route)
	if what == "" || route.Leaving || record.Generation >= route.Generation {
		return
	}
	var with []string
	if headers := len(p.headerRoutes()); headers > 0 {
		with = append(with, Quantity(int32(headers), "header route"))
	}
	if mirror := p.prior.Traffic.MirrorPercent; mirror > 0 {
		with = append(with, fmt.Sprintf("a mirror of %d %%", mirror))
	}
	target := fmt.Sprintf("%d %% for the canary", p.prior.Traffic.Weight)
	if len(with) > 0 {
		target += ", with " + strings.Join(with, " and ")
	}
	p.warnRepeated(EventRouteOverwritten, "%s wrote %s into %s %s: it is put back to %s",
		writer(route.FieldManager), what, route.Kind, route.Name, target)
}

// overwritten is what a route carries instead of the target. It is empty for header rules that are merely out of step: they
// follow an edit of their source rule, which is not worth a warning.
func (p *pass) overwritten(route Route) string {
	traffic := p.prior.Traffic
	switch {
	case route.Weight != traffic.Weight:
		return route.Weights
	case route.Mirror != traffic.MirrorPercent && route.Mirror == 0:
		return "no mirror"
	case route.Mirror != traffic.MirrorPercent:
		return "another mirror"
	case len(p.headerRoutes()) == 0:
		return "header routes of this rollout that are not in force"
	case route.Headers == HeadersNone:
		return "no header routes"
	default:
		return ""
	}
}

func writer(name string) string { return cmp.Or(name, "somebody") }

// mayWriteRoutes keeps a first deploy from touching a route before all is complete. While nothing answers, the weights are
// written before there is a pod: the two Services get their first endpoints one after the other, and with the weights that
// the user's route had, half of the requests in between would meet the one that has none.
func (p *pass) mayWriteRoutes() bool {
	if p.prior.StableRevision != "" || p.prior.StableService.Revision != "" || p.prior.CanaryService.Revision != "" {
		return true
	}
	return p.problem() == nil && (ready(p.in.Observed.Stable) > 0 || ready(p.in.Observed.Canary) == 0)
}

func trafficReason(route Route, to SetTraffic) string {
	switch {
	case route.Weight == MixedWeight:
		return fmt.Sprintf("canary share to %d %%", to.Weight)
	case route.Weight != to.Weight:
		return fmt.Sprintf("canary share from %d to %d %%", route.Weight, to.Weight)
	case route.Mirror != to.Mirror && to.Mirror == 0:
		return "mirror out"
	case route.Mirror != to.Mirror:
		return fmt.Sprintf("mirror of %d %% in", to.Mirror)
	case len(to.HeaderRoutes) > 0:
		return "header routes in"
	default:
		return "header routes out"
	}
}

// headerRoutes are the ones in force.
func (p *pass) headerRoutes() []v1alpha1.SetHeaderRoute {
	if !p.prior.Traffic.HeaderRoutesActive {
		return nil
	}
	return p.prior.StepHeaderRoutes
}

// carries says whether a route shows the target in its spec.
func (p *pass) carries(route Route) bool {
	weight, mirror, headerRoutes := p.wanted(route)
	headers := HeadersNone
	if len(headerRoutes) > 0 {
		headers = HeadersCurrent
	}
	return route.Found && route.Problem == nil && route.Headers == headers && route.Weight == weight && route.Mirror == mirror
}

// wanted is what a route should carry: the target in memory, or nothing for the canary when it is handed back.
func (p *pass) wanted(route Route) (weight, mirror int32, headerRoutes []v1alpha1.SetHeaderRoute) {
	if p.isHandedBack(route) {
		return 0, 0, nil
	}
	return p.prior.Traffic.Weight, p.prior.Traffic.MirrorPercent, p.headerRoutes()
}

// isOutOfReach says that nothing waits for a route: the rollout is being deleted and nobody would fix it any more, or it
// left the spec and carries nothing of ours.
func (p *pass) isOutOfReach(route Route) bool {
	return p.isTerminating() && (!route.Found || route.Problem != nil) || route.Leaving && p.isNobodys(route)
}

// mayCarry holds a write to a route against the endpoints of this pass. The target may have been written to memory long
// before, and the pods that were to get the traffic may be gone since.
func (p *pass) mayCarry(route Route) bool {
	stable, canary := p.in.Observed.Stable, p.in.Observed.Canary
	if need := p.raises(route); need > 0 && (readyOf(canary, p.prior.CanaryService.Revision) < need ||
		p.isDown(canary, p.prior.CanaryService.Revision)) {
		p.waitForRoute(route, fmt.Sprintf("gets its traffic back when Service %s has %s of revision %s",
			canary.Name, Quantity(need, "ready endpoint"), p.prior.CanaryService.Revision))
		return false
	}
	weight, _, _ := p.wanted(route)
	lowers := weight < 100 && (route.Weight == MixedWeight || route.Weight > weight)
	if lowers && (stable.Found || !p.isTerminating()) && ready(stable) == 0 && ready(canary) > 0 {
		p.stallStable()
		return false
	}
	return true
}

// raises is the number of ready canary endpoints that a route needs to get more traffic by the target than it has (T2);
// 0 when it gets no more.
func (p *pass) raises(route Route) int32 {
	if p.isHandedBack(route) {
		return 0
	}
	target := p.prior.Traffic
	isMore := target.Weight > max(route.Weight, 0) || target.MirrorPercent > max(route.Mirror, 0) ||
		len(p.headerRoutes()) > 0 && route.Headers != HeadersCurrent
	switch {
	case !isMore:
		return 0
	case p.prior.Phase == v1alpha1.PhaseRollingBack: // one is enough for a way back that leads by the canary Service (T9)
		return 1
	default:
		return max(1, p.needFor(loadOf(target.Weight, target.MirrorPercent)))
	}
}

func (p *pass) waitForRoute(route Route, what string) {
	if route.Problem == nil {
		p.waitTraffic(fmt.Sprintf("%s %s %s", route.Kind, route.Name, what))
	}
}

// setTraffic changes the target; what was proven about the former one is void.
func (p *pass) setTraffic(weight, mirror int32, headers bool) {
	traffic := &p.mem.Traffic
	if traffic.Weight == weight && traffic.MirrorPercent == mirror && traffic.HeaderRoutesActive == headers {
		return
	}
	traffic.Weight, traffic.MirrorPercent, traffic.HeaderRoutesActive = weight, mirror, headers
	p.voidProof()
}

func (p *pass) voidProof() {
	p.plan.Probe = nil
	p.mem.Traffic.Routes, p.mem.Traffic.VerifiedAt, p.mem.Traffic.UnverifiedSince = nil, nil, nil
	p.waitsForProof()
}

// keepLoad remembers the largest load that data planes may still send to the canary. Its pods must be able to serve
// that load until the proof of a smaller one has settled (T3).
func (p *pass) keepLoad() {
	traffic := &p.mem.Traffic
	load := loadOf(traffic.Weight, traffic.MirrorPercent)
	if load >= traffic.MaxLoadPercent || p.isVerified() && p.reached(traffic.VerifiedAt.Add(p.spec.settle)) {
		traffic.MaxLoadPercent = load
	}
}

// canaryCarriesNothing is the condition of T1 for the canary Service.
func (p *pass) canaryCarriesNothing() bool {
	return !ReachesCanary(p.mem.Traffic) && p.isSettled()
}

// ReachesCanary says that requests, or copies of some, are meant to reach the canary Service.
func ReachesCanary(traffic v1alpha1.TrafficMemory) bool {
	return traffic.Weight > 0 || traffic.MirrorPercent > 0 || traffic.HeaderRoutesActive
}

// stableCarriesNothing is the condition of T1 for the stable Service.
func (p *pass) stableCarriesNothing() bool {
	return p.mem.Traffic.Weight == 100 && p.isSettled()
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
