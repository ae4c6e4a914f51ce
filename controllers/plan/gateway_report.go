// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func (g gatewayCanary) exposure(v view) exposure {
	return exposure{
		alarm: g.alarm(v), idleWait: g.idleWait(v), verifyTimeout: g.verifyTimeout(v), unverifiedReason: g.unverifiedReason(v),
		isUnversioned: isUnversioned(v), remarks: g.remarks(v), recheck: g.recheck(v),
	}
}

// alarm returns a message if the stable Service has lost its endpoints while requests go to it; empty otherwise.
func (gatewayCanary) alarm(v view) string {
	service, memory := v.in.Observed.Stable, v.mem.StableService
	if v.isTerminating() || v.mem.StableRevision == "" || memory.ReadyAt == nil || v.spec.replicas == 0 ||
		v.mem.Traffic.Weight == 100 || ready(service) > 0 {
		return ""
	}
	return fmt.Sprintf("Service %s has no ready endpoint, so requests to it fail%s", service.Name, v.trouble(memory.Revision))
}

func (g gatewayCanary) idleWait(v view) string {
	stable, observed := v.mem.StableRevision, v.in.Observed
	switch {
	case g.alarm(v) != "":
		return fmt.Sprintf("waiting for ready endpoints in Service %s", observed.Stable.Name)
	case observed.Stable.Revision != stable || observed.Canary.Revision != stable:
		return fmt.Sprintf("waiting for both Services to select revision %s", stable)
	default:
		return ""
	}
}

// report adds the desired weight of each route, and the weight that was last verified.
func (gatewayCanary) report(t *transition, status *v1alpha1.TrafficStatus) {
	for _, route := range t.in.Observed.Routes {
		report := v1alpha1.RouteStatus{Kind: route.Kind, Name: route.Name, DesiredWeight: t.mem.Traffic.Weight}
		if isHandedBack(t.before, route) {
			report.DesiredWeight = 0
		}
		if prior := priorRouteStatus(t.view, route); prior != nil {
			report.VerifiedWeight = prior.VerifiedWeight
		}
		switch {
		case t.verifiedRoutes[route.key()] && t.mem.Traffic.Weight == t.before.mem.Traffic.Weight:
			report.VerifiedWeight = ptr.To(report.DesiredWeight)
		case t.isManaging():
			report.Pending = route.Pending
		}
		status.Routes = append(status.Routes, report)
	}
}

// priorRouteStatus returns the prior status of a route; nil if there is none.
func priorRouteStatus(v view, route Route) *v1alpha1.RouteStatus {
	if v.in.Prior.Traffic == nil {
		return nil
	}
	for i := range v.in.Prior.Traffic.Routes {
		if prior := &v.in.Prior.Traffic.Routes[i]; prior.Kind == route.Kind && prior.Name == route.Name {
			return prior
		}
	}
	return nil
}

// remarks lists other uses of the two Services (T1) and route status entries that do not count (T4), for information only.
func (gatewayCanary) remarks(v view) (remarks []string) {
	var others, ignored []string
	for _, route := range v.in.Observed.Routes {
		if route.OtherUses != "" {
			others = append(others, route.OtherUses)
		}
		if route.Ignored != "" {
			ignored = append(ignored, fmt.Sprintf("%s %s: %s", route.Kind, route.Name, route.Ignored))
		}
	}
	if len(others) > 0 {
		remarks = append(remarks, "also used by "+strings.Join(others, ", "))
	}
	if len(ignored) > 0 {
		remarks = append(remarks, "ignored status entries: "+strings.Join(ignored, "; "))
	}
	return remarks
}

// isUnversioned reports whether a gateway that accepts a route never says which generation it means.
func isUnversioned(v view) bool {
	return slices.ContainsFunc(v.in.Observed.Routes, func(route Route) bool { return route.Unversioned })
}

// verifyTimeout returns the timeout of the spec, or the time after which a weight counts as verified with a gateway that
// reports no generation, if that is longer.
func (gatewayCanary) verifyTimeout(v view) time.Duration {
	if isUnversioned(v) {
		return max(v.spec.verifyTimeout, unversionedWait)
	}
	return v.spec.verifyTimeout
}

// unverifiedReason distinguishes a route without a parent from one that a gateway has not accepted yet.
func (gatewayCanary) unverifiedReason(v view) string {
	if slices.ContainsFunc(v.in.Observed.Routes, func(route Route) bool { return route.Orphaned }) {
		return v1alpha1.ReasonRouteWithoutParent
	}
	return v1alpha1.ReasonRouteNotVerified
}
