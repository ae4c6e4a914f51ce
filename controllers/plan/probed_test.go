// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// asked applies the request of a plan to the prober: it continues, starts again, or stops.
func asked(probe Probe, wanted *ProbeRequest) Probe {
	switch {
	case wanted == nil:
		return Probe{}
	case *wanted != probe.ProbeRequest:
		return Probe{ProbeRequest: *wanted}
	default:
		return probe
	}
}

// measure takes a sample. It is taken again and again, until one fits.
func (w *world) measure() bool {
	request, before := w.probe.ProbeRequest, w.probe
	if request == (ProbeRequest{}) || before.Fits {
		return false
	}
	if w.probe = (Probe{ProbeRequest: request, Fits: w.fits(request)}); !w.probe.Fits {
		w.probe.Pending = fmt.Sprintf("the answers are not divided by weight %d", request.Weight)
	}
	return w.probe != before
}

// fits reports whether the revisions have their shares of the responses. Pods of others do not tell their revision.
func (w *world) fits(request ProbeRequest) bool {
	answers := w.answers()
	of := func(revision string) int32 {
		if revision == "" || w.isForeign(index(revision)) {
			return 0
		}
		return answers[index(revision)]
	}
	if request.Stable == request.Canary {
		return of(request.Canary) == 100
	}
	return of(request.Canary) == request.Weight && of(request.Stable) == 100-request.Weight
}

// answers returns how the data plane divides requests among the revisions, in percent. Some may fail.
func (w *world) answers() [revisions]int32 {
	var answers [revisions]int32
	count := func(s *service, percent int32) {
		for i, endpoints := range s.proxies {
			if endpoints > 0 && w.sets[i].ready > 0 {
				answers[i] += percent * endpoints / sum(s.proxies)
			}
		}
	}
	count(&w.stable, 100-w.route(0).proxyWeight)
	count(&w.canary, w.route(0).proxyWeight)
	return answers
}

// shows reports whether the data plane does not follow a route and a probe can tell. It cannot while both Services select the
// same pods.
func (w *world) shows(r *routeWorld) bool {
	return w.spec.Traffic.Probe != nil && w.stable.selector != w.canary.selector && r.proxyWeight != r.weight
}

// isAbout says that the target in memory has been carried since the moment that a request names.
func (w *world) isAbout(request ProbeRequest) bool {
	return w.status.Memory != nil && slices.ContainsFunc(w.status.Memory.Traffic.Routes, func(r v1alpha1.RouteMemory) bool {
		return r.CarriedAt.UnixMicro() == request.CarriedAt
	})
}
