// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A record is what the gateway knows of one HTTPRoute.
type record struct {
	// object is the newest that was seen; nil when it is gone. Its status is what is written.
	object *gatewayv1.HTTPRoute
	// told is the one that reports are about; nil before the first.
	told *gatewayv1.HTTPRoute
	// routed is the one that the data path follows; nil when it knows none.
	routed *gatewayv1.HTTPRoute
	// ahead are the versions that the data path does not follow yet, oldest first.
	ahead []version
	// written is the status that was written last, byte for byte, and writtenAs the resource version that this made.
	written, writtenAs string
}

// A version of a route is a generation of it, or its end.
type version struct {
	route    *gatewayv1.HTTPRoute // nil: it was deleted
	seen     time.Time
	reported time.Time // zero until then
}

// see takes what a watch or an answer brings. It may be old news.
func (r *record) see(route *gatewayv1.HTTPRoute, now time.Time) {
	known := r.object
	isNew := known == nil || known.UID != route.UID
	if !isNew && !isNewer(route.ResourceVersion, known.ResourceVersion) {
		return
	}
	r.object = route
	if isNew || known.Generation != route.Generation {
		r.ahead = append(r.ahead, version{route: route, seen: now})
	}
}

// gone takes the end of the route.
func (r *record) gone(now time.Time) {
	r.object, r.written, r.writtenAs = nil, "", ""
	r.ahead = append(r.ahead, version{seen: now})
}

// isNewer takes what cannot be compared for newer.
func isNewer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// take lets reports be about the newest version that the gateway has taken up by now, and says when the next will be.
func (r *record) take(now time.Time, b Behaviour) (next time.Time) {
	for _, v := range r.ahead {
		if due := v.seen.Add(b.StatusLag); now.Before(due) {
			return due
		}
		r.told = v.route
	}
	return time.Time{}
}

// reported notes that what had been taken up by a moment is reported, or never will be.
func (r *record) reported(by, now time.Time, b Behaviour) {
	for i := range r.ahead {
		if v := &r.ahead[i]; v.reported.IsZero() && !by.Before(v.seen.Add(b.StatusLag)) {
			v.reported = now
		}
	}
}

// follow lets the data path follow every version that is due. It says whether there was one, and when the next is due,
// as far as that is known.
func (r *record) follow(now time.Time, b Behaviour) (changed bool, next time.Time) {
	for len(r.ahead) > 0 {
		due := r.ahead[0].due(b)
		if due.IsZero() || now.Before(due) {
			return changed, due
		}
		r.routed = r.ahead[0].route
		r.ahead = r.ahead[1:]
		changed = true
	}
	return changed, time.Time{}
}

// due is when the data path follows; zero while it waits for the report.
func (v version) due(b Behaviour) time.Time {
	if b.RouteLag == 0 {
		return v.seen.Add(b.StatusLag)
	}
	if v.reported.IsZero() {
		return time.Time{}
	}
	return v.reported.Add(b.RouteLag)
}

// isForgotten says that nothing is left of a route.
func (r *record) isForgotten() bool {
	return r.object == nil && r.routed == nil && len(r.ahead) == 0
}
