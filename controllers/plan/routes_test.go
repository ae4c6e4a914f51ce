// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const maxRoutes = 2

type routeWorld struct {
	weight, mirror int32
	headers        bool
	generation     int64
	// written is when it was last changed.
	written time.Time
	// accepted is the generation in the route's status; 0 while the gateway complains.
	accepted int64
	// refused is the generation that the gateway refuses for its mirror; 0 for none.
	refused int64
	// told is the newest that the data plane was told of, at toldAt. A complaint does not take that back.
	told   int64
	toldAt time.Time
	// proxyWeight, proxyMirror and proxyHeaders are what the data plane does.
	proxyWeight, proxyMirror int32
	proxyHeaders             bool
	// troubled says that its user has to put something right.
	troubled bool
}

// anyRoute says whether one of the routes is so.
func (w *world) anyRoute(is func(*routeWorld) bool) bool {
	for i := range w.routeCount {
		if is(w.route(i)) {
			return true
		}
	}
	return false
}

// toStable and toCanary say that the data plane sends requests there. A route that left the spec sends its requests to the
// stable Service like any other user of it, which follows the selector (T1).
func (w *world) toStable() bool {
	return w.anyManaged(func(r *routeWorld) bool { return r.proxyWeight < 100 })
}

// anyManaged is anyRoute for those of the spec.
func (w *world) anyManaged(is func(*routeWorld) bool) bool {
	for i := range w.spec.Traffic.Routes {
		if is(w.route(i)) {
			return true
		}
	}
	return false
}

func (w *world) toCanary() bool {
	return w.anyRoute(func(r *routeWorld) bool { return r.proxyWeight > 0 || r.proxyHeaders })
}

// copiesToCanary says that the data plane sends copies there, whose answers nobody waits for.
func (w *world) copiesToCanary() bool {
	return w.anyRoute(func(r *routeWorld) bool { return r.proxyMirror > 0 })
}

func (w *world) observedRoute(i int) Route {
	r := w.route(i)
	observed := Route{
		Kind: "HTTPRoute", Name: routeName(i), Found: true, Generation: r.generation, Weight: r.weight, Mirror: r.mirror,
		Headers: HeadersNone, AcceptedGeneration: r.accepted, RefusedGeneration: r.refused, Pending: "Gateway http-gateway has not taken it yet",
	}
	if w.unversioned {
		observed.AcceptedGeneration, observed.Unversioned = 0, true
	}
	if r.headers {
		observed.Headers = HeadersCurrent
	}
	if r.troubled {
		observed.Problem = &Problem{Reason: v1alpha1.ReasonRouteLimitExceeded, Message: "it is full"}
	}
	return observed
}

func (w *world) write(r *routeWorld, weight, mirror int32, headers bool) {
	r.weight, r.mirror, r.headers, r.written = weight, mirror, headers, w.now
	r.generation++
}

// behind is how many generations the gateway has not taken yet; -1 while it complains.
func (r *routeWorld) behind() int64 {
	if r.accepted == 0 {
		return -1
	}
	return r.generation - r.accepted
}

func (w *world) accept(i int) bool {
	r := w.route(i)
	if i >= w.routeCount || r.accepted == r.generation || r.refused == r.generation {
		return false
	}
	if w.refusesMirrors && r.mirror > 0 {
		r.accepted, r.refused = 0, r.generation
		return true
	}
	r.refused = 0
	if r.accepted = r.generation; r.told != r.generation {
		r.told, r.toldAt = r.generation, w.now
	}
	return true
}

func (w *world) syncProxyRoute(i int) bool {
	r := w.route(i)
	if i >= w.routeCount || r.proxyWeight == r.weight && r.proxyMirror == r.mirror && r.proxyHeaders == r.headers {
		return false
	}
	r.proxyWeight, r.proxyMirror, r.proxyHeaders = r.weight, r.mirror, r.headers
	w.forgive()
	return true
}

// isTold says that the data plane was told a route before that moment. A gateway that names no generation is given
// the time that T4 gives it; and one that is measured all the time that it takes.
func (w *world) isTold(r *routeWorld, before time.Time) bool {
	if w.shows(r) {
		return false
	}
	if w.unversioned {
		return !r.written.After(w.now.Add(-unversionedWait))
	}
	return r.told == r.generation && !r.toldAt.After(before)
}

// asFound is a route as its user made it.
var asFound = routeWorld{weight: 50, generation: 1, written: epoch, accepted: 1, told: 1, toldAt: epoch, proxyWeight: 50}

func routeName(i int) string { return []string{"reviews", "details"}[i] }

func (w *world) routeNamed(routeOf string) *routeWorld {
	return w.route(slices.IndexFunc([]int{0, 1}, func(i int) bool { return routeName(i) == routeOf }))
}

func (w *world) route(i int) *routeWorld { return &w.routes[i] }
