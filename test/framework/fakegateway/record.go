// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A record is what the gateway knows about one HTTPRoute.
type record struct {
	// object is the newest one seen; nil if it is deleted. Its status is the one to write.
	object *gatewayv1.HTTPRoute
	// processed is the version that reports refer to; nil before the first.
	processed *gatewayv1.HTTPRoute
	// routed is the version that the data path uses; nil if there is none.
	routed *gatewayv1.HTTPRoute
	// ahead are the versions that the data path does not use yet, oldest first.
	ahead []version
	// written is the last written status, byte for byte, and writtenAs the resulting resource version.
	written, writtenAs string
}

// A version of a route is one of its generations, or its deletion.
type version struct {
	route    *gatewayv1.HTTPRoute // nil if it was deleted
	seen     time.Time
	reported time.Time // zero until then
}

// see takes a route from a watch event or a response. It ignores older versions.
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

// gone records the deletion of the route.
func (r *record) gone(now time.Time) {
	r.object, r.written, r.writtenAs = nil, "", ""
	r.ahead = append(r.ahead, version{seen: now})
}

// isNewer reports whether a is newer than b. Versions that cannot be compared count as newer.
func isNewer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// take makes reports refer to the newest version that the gateway has processed by now, and returns when the next is
// due.
func (r *record) take(now time.Time, b Behaviour) (next time.Time) {
	for _, v := range r.ahead {
		if due := v.seen.Add(b.StatusLag); now.Before(due) {
			return due
		}
		r.processed = v.route
	}
	return time.Time{}
}

// reported records that what had been processed by a moment is reported, or never will be.
func (r *record) reported(by, now time.Time, b Behaviour) {
	for i := range r.ahead {
		if v := &r.ahead[i]; v.reported.IsZero() && !by.Before(v.seen.Add(b.StatusLag)) {
			v.reported = now
		}
	}
}

// follow moves the data path to the newest version that is due. It returns whether there was one, and when the next
// is due, as far as that is known.
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

// due returns when the data path uses this version; zero while it waits for the report.
func (v version) due(b Behaviour) time.Time {
	if b.RouteLag == 0 {
		return v.seen.Add(b.StatusLag)
	}
	if v.reported.IsZero() {
		return time.Time{}
	}
	return v.reported.Add(b.RouteLag)
}

// isForgotten reports whether the record can be deleted.
func (r *record) isForgotten() bool {
	return r.object == nil && r.routed == nil && len(r.ahead) == 0
}
