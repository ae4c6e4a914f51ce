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
	// told is the newest generation sent to the data plane, at toldAt. A later refusal does not revoke that.
	told   int64
	toldAt time.Time
	// proxyWeight, proxyMirror and proxyHeaders are what the data plane does.
	proxyWeight, proxyMirror int32
	proxyHeaders             bool
	// troubled says that its user has to put something right.
	troubled bool
}

// anyRoute reports whether the condition holds for one of the routes.
func (w *world) anyRoute(is func(*routeWorld) bool) bool {
	for i := range w.routeCount {
		if is(w.route(i)) {
			return true
		}
	}
	return false
}

// toStable and toCanary report whether the data plane sends requests there. A route that left the spec sends its requests to the
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

// copiesToCanary reports whether the data plane sends copies there, whose responses are ignored.
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

// behind returns how many generations the gateway has not accepted yet; -1 while it refuses the route.
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

// isTold reports whether a route was sent to the data plane before that time. A gateway that reports no generation gets
// the time of T4; one that is measured gets as much time as it needs.
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
