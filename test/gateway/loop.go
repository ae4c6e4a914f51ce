// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

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

// again is when a write is tried again that failed. After a conflict the watch brings the newer route sooner.
const again = 200 * time.Millisecond

// seeRoute takes what the watch says about a route.
func (g *Gateway) seeRoute(route *gatewayv1.HTTPRoute) {
	g.locked(func() { g.record(client.ObjectKeyFromObject(route)).see(route, g.clock.Now()) })
}

func (g *Gateway) missRoute(route *gatewayv1.HTTPRoute) {
	g.locked(func() { g.record(client.ObjectKeyFromObject(route)).gone(g.clock.Now()) })
}

// seeService follows a Service at once: what is late are its endpoints.
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

// route brings the data path up to what is due by now.
func (g *Gateway) route(_ context.Context, now time.Time) (next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.follow(now)
}

// follow needs the lock.
func (g *Gateway) follow(now time.Time) (next time.Time) {
	g.known.losesAtOnce = g.behaviour.EndpointsGoAtOnce
	isChanged, next := g.slow.run(now, g.behaviour.EndpointLag)
	isChanged = isChanged || g.isStale
	for key, r := range g.records {
		r.take(now, g.behaviour) // what is dropped below must have been taken up
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

// A write is a status that is not as it should be.
type write struct {
	route  *gatewayv1.HTTPRoute
	status []byte
	// done takes the route as it is after that. It needs the gateway's lock.
	done func(answer *gatewayv1.HTTPRoute)
}

// report writes every status that is not as it should be by now. The requests are made without the lock: the data path goes
// on while the API server is away.
func (g *Gateway) report(ctx context.Context, now time.Time) (next time.Time) {
	writes, next := g.writes(now)
	for _, w := range writes {
		answer, err := writeStatus(ctx, g.client, w.route, w.status)
		switch {
		case err == nil:
			g.locked(func() { w.done(answer) })
		case !apierrors.IsNotFound(err): // what is gone needs no status
			next = sooner(next, now.Add(again))
			g.noteError(ctx, err)
		}
	}
	return next
}

// noteError keeps what is neither a conflict nor the end of the gateway.
func (g *Gateway) noteError(ctx context.Context, err error) {
	if apierrors.IsConflict(err) || ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
}

// Failed is the last status that could not be written, other than by a conflict: a test that waits for one in vain should
// say so.
func (g *Gateway) Failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

// writes finds them. A gateway routes a change before it reports it, unless it is told otherwise.
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

// status is the one to write; nil when all is as it should be, or nothing is to be said.
func (r report) status(about *record) []byte {
	if about.object == nil || about.told == nil || r.behaviour.Silent {
		return nil
	}
	parents := r.parents(about.object, about.told)
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
