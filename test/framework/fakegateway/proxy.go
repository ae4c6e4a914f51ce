// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A choice is where a request goes.
type choice struct {
	rule    *rule
	backend *backend
	address string
}

type choiceKey struct{}

// newProxy forwards a request to the chosen pod. Each request has its own connection: the HTTP client would retry a
// request whose kept-alive connection turns out to be dead, and so hide a loss.
func newProxy(g *Gateway) http.Handler {
	return &httputil.ReverseProxy{
		Transport: newTransport(),
		Rewrite: func(r *httputil.ProxyRequest) {
			chosen := r.In.Context().Value(choiceKey{}).(choice)
			r.Out.URL.Scheme, r.Out.URL.Host = "http", chosen.address
			for _, filter := range chosen.rule.headers {
				modify(r.Out.Header, filter)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			if errors.Is(err, context.DeadlineExceeded) {
				status = http.StatusGatewayTimeout
			}
			g.refuse(w, r, status, r.Context().Value(choiceKey{}).(choice).address, err.Error())
		},
	}
}

func newTransport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DisableCompression: true}
}

func modify(header http.Header, filter gatewayv1.HTTPHeaderFilter) {
	for _, set := range filter.Set {
		header.Set(string(set.Name), set.Value)
	}
	for _, add := range filter.Add {
		header.Add(string(add.Name), add.Value)
	}
	for _, name := range filter.Remove {
		header.Del(name)
	}
}

// ServeHTTP routes a request by the current table.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	matched := g.table.Load().find(r)
	if matched == nil {
		g.refuse(w, r, http.StatusNotFound, "", "no rule matches")
		return
	}
	chosen, status, reason := g.choose(matched)
	if status != 0 {
		g.refuse(w, r, status, "", reason)
		return
	}
	g.mirror(matched, r)
	ctx := context.WithValue(r.Context(), choiceKey{}, chosen)
	if matched.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, matched.timeout)
		defer cancel()
	}
	g.metrics.measure(w, r.WithContext(ctx), chosen.backend.service, g.proxy)
}

// choose picks a backend by weight and then one of its endpoints, or returns the status with which the request is
// refused.
func (g *Gateway) choose(matched *rule) (chosen choice, status int, reason string) {
	if len(matched.backends) == 0 {
		return choice{}, http.StatusInternalServerError, "the rule has no backendRefs"
	}
	picked := matched.choose()
	switch {
	case picked == nil:
		return choice{}, http.StatusServiceUnavailable, "all weights are zero"
	case picked.problem != nil:
		return choice{}, http.StatusInternalServerError, picked.problem.message
	case len(picked.addresses) == 0:
		return choice{}, http.StatusServiceUnavailable, fmt.Sprintf("Service %s has no ready endpoints", picked.name)
	default:
		return choice{matched, picked, picked.addresses[g.draw(len(picked.addresses))]}, 0, ""
	}
}

// A Copy is a request that was sent to a mirror, with its outcome.
type Copy struct {
	Start    time.Time
	Duration time.Duration
	// ID is its X-Request-Id. Service and Address are where it was sent.
	ID, Service, Address string
	// Status and Header are those of the answer; Err is the reason if there is none.
	Status int
	Header http.Header
	Err    error
}

// mirror sends a copy of a request without its body to the mirrors that are due, and does not wait for their answers.
func (g *Gateway) mirror(matched *rule, r *http.Request) {
	for _, m := range matched.mirrors {
		if len(m.addresses) == 0 || g.draw(m.of) >= m.numerator {
			continue
		}
		reflection := r.Clone(context.WithoutCancel(r.Context()))
		reflection.URL.Scheme, reflection.URL.Host = "http", m.addresses[g.draw(len(m.addresses))]
		reflection.RequestURI, reflection.Body = "", http.NoBody
		g.running.Go(func() { g.reflect(m.name, reflection) })
	}
}

// reflect sends a copy and records it, because the client does not see its outcome.
func (g *Gateway) reflect(service string, r *http.Request) {
	made := Copy{Start: time.Now(), ID: r.Header.Get("X-Request-Id"), Service: service, Address: r.URL.Host}
	response, err := g.mirrors.RoundTrip(r)
	if err == nil {
		made.Status, made.Header = response.StatusCode, response.Header
		_ = response.Body.Close()
	}
	made.Duration, made.Err = time.Since(made.Start), err
	g.counting.Lock()
	defer g.counting.Unlock()
	g.copies = append(g.copies, made)
}

// Copies returns the completed copies, sorted by when they were sent.
func (g *Gateway) Copies() []Copy {
	g.counting.Lock()
	defer g.counting.Unlock()
	return slices.SortedStableFunc(slices.Values(g.copies), func(x, y Copy) int { return x.Start.Compare(y.Start) })
}

// Mirrored returns how many copies of requests the pods of a Service have answered.
func (g *Gateway) Mirrored(service string) (count int) {
	for _, made := range g.Copies() {
		if made.Service == service && made.Err == nil {
			count++
		}
	}
	return count
}

func (g *Gateway) draw(n int) int {
	g.drawing.Lock()
	defer g.drawing.Unlock()
	return g.random.IntN(n)
}

// refuse answers instead of a pod, and records it.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, status int, address, reason string) {
	err := g.log.write(line{
		ID: r.Header.Get("X-Request-Id"), Address: address, Status: status, Reason: reason, Host: r.Host, Path: r.URL.Path,
	})
	if err != nil {
		reason += fmt.Sprintf(" (and it could not be logged: %v)", err)
	}
	g.counting.Lock()
	g.counts[status]++
	g.counting.Unlock()
	http.Error(w, reason, status)
}

// Counts returns how many requests the gateway answered itself, by status: 404 if no rule matches, 500 for the share
// of a backendRef that cannot be resolved, 503 without a ready endpoint, 502 and 504 for a pod that did not answer.
func (g *Gateway) Counts() map[int]int {
	g.counting.Lock()
	defer g.counting.Unlock()
	return maps.Clone(g.counts)
}
