// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// again is when a failed write is retried. After a conflict the watch delivers the newer route sooner.
const again = 200 * time.Millisecond

// seeRoute handles a watch event of a route.
func (g *Gateway) seeRoute(route *gatewayv1.HTTPRoute) {
	g.locked(func() { g.record(client.ObjectKeyFromObject(route)).see(route, g.clock.Now()) })
}

func (g *Gateway) missRoute(route *gatewayv1.HTTPRoute) {
	g.locked(func() { g.record(client.ObjectKeyFromObject(route)).gone(g.clock.Now()) })
}

// seeService applies a Service at once: only its endpoints are late.
func (g *Gateway) seeService(service *corev1.Service) {
	g.locked(func() { g.known.services[client.ObjectKeyFromObject(service)], g.isStale = service, true })
}

func (g *Gateway) missService(service *corev1.Service) {
	g.locked(func() {
		delete(g.known.services, client.ObjectKeyFromObject(service))
		g.isStale = true
	})
}

func (g *Gateway) seeSlice(slice *discoveryv1.EndpointSlice) {
	g.locked(func() {
		g.known.written[client.ObjectKeyFromObject(slice)], g.isStale = slice, true
		g.slow.push(g.clock.Now(), func() { g.known.slices[client.ObjectKeyFromObject(slice)] = slice })
	})
}

func (g *Gateway) missSlice(slice *discoveryv1.EndpointSlice) {
	g.locked(func() {
		delete(g.known.written, client.ObjectKeyFromObject(slice))
		g.isStale = true
		g.slow.push(g.clock.Now(), func() { delete(g.known.slices, client.ObjectKeyFromObject(slice)) })
	})
}

func (g *Gateway) locked(change func()) {
	g.mu.Lock()
	change()
	g.mu.Unlock()
	g.wake()
}

func (g *Gateway) record(key types.NamespacedName) *record {
	if g.records[key] == nil {
		g.records[key] = &record{}
	}
	return g.records[key]
}

// route applies everything that is due to the data path.
func (g *Gateway) route(_ context.Context, now time.Time) (next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.follow(now)
}

// follow requires the lock.
func (g *Gateway) follow(now time.Time) (next time.Time) {
	g.known.losesAtOnce = g.behaviour.EndpointsGoAtOnce
	isChanged, next := g.slow.run(now, g.behaviour.EndpointLag)
	isChanged = isChanged || g.isStale
	for key, r := range g.records {
		r.take(now, g.behaviour) // what is dropped below must have been processed
		isFollowed, due := r.follow(now, g.behaviour)
		isChanged, next = isChanged || isFollowed, sooner(next, due)
		if r.isForgotten() {
			delete(g.records, key)
		}
	}
	if !isChanged {
		return next
	}
	var routes []*gatewayv1.HTTPRoute
	for _, r := range g.records {
		if g.attaches(r.routed) {
			routes = append(routes, r.routed)
		}
	}
	g.table.Store(newTable(routes, g.known))
	g.isStale = false
	return next
}

// A write is a status that needs to be updated.
type write struct {
	route  *gatewayv1.HTTPRoute
	status []byte
	// done takes the resulting route. It requires the gateway's lock.
	done func(answer *gatewayv1.HTTPRoute)
}

// report writes every status that is out of date. The requests are made without the lock: the data path keeps working
// while the API server is unavailable.
func (g *Gateway) report(ctx context.Context, now time.Time) (next time.Time) {
	writes, next := g.writes(now)
	for _, w := range writes {
		answer, err := writeStatus(ctx, g.client, w.route, w.status)
		switch {
		case err == nil:
			g.locked(func() { w.done(answer) })
		case !apierrors.IsNotFound(err): // a deleted route needs no status
			next = sooner(next, now.Add(again))
			g.noteError(ctx, err)
		}
	}
	return next
}

// noteError keeps errors other than conflicts and the gateway's own end.
func (g *Gateway) noteError(ctx context.Context, err error) {
	if apierrors.IsConflict(err) || ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
}

// Failed returns the last error of writing a status, other than a conflict: a test that times out waiting for a
// status should print it.
func (g *Gateway) Failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// writes returns the statuses to write. A gateway routes a change before it reports it, unless configured otherwise.
func (g *Gateway) writes(now time.Time) (writes []write, next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	about := report{identity: g.identity, behaviour: g.behaviour, began: g.began, now: now, known: g.known}
	next = about.nextFlap()
	for _, r := range g.records {
		next = sooner(next, r.take(now, g.behaviour))
		status := about.status(r)
		if status == nil {
			r.reported(now, now, g.behaviour)
			continue
		}
		behaviour := g.behaviour
		writes = append(writes, write{route: r.object, status: status, done: func(answer *gatewayv1.HTTPRoute) {
			at := g.clock.Now()
			r.see(answer, at)
			r.written, r.writtenAs = string(status), answer.ResourceVersion
			r.reported(now, at, behaviour)
		}})
	}
	return writes, sooner(next, g.follow(now)) // before the writes are made
}

// status returns the status to write, or nil if it is up to date or nothing is to be reported.
func (r report) status(about *record) []byte {
	if about.object == nil || about.processed == nil || r.behaviour.Silent {
		return nil
	}
	parents := r.parents(about.object, about.processed)
	status := encode(parents, r.behaviour.Generations)
	if about.written == string(status) && about.writtenAs == about.object.ResourceVersion {
		return nil // nobody has written since
	}
	isSame := equality.Semantic.DeepEqual(parents, about.object.Status.Parents)
	if isSame && (about.written == string(status) || about.written == "" && r.behaviour.Generations != GenerationsZero) {
		return nil
	}
	return status
}
