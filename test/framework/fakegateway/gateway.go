// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Options configures a gateway. Name and Namespace are required.
type Options struct {
	// Name is the name of its GatewayClass and of its Gateway.
	Name string
	// Others are the names of further Gateways that it implements. They share its listener.
	Others []string
	// OtherParents are parents of other kinds that it implements, with all fields that the API server would default:
	// ListenerSets, and Services of a mesh. They need not exist, and share its listener.
	OtherParents []gatewayv1.ParentReference
	// Namespace is the namespace of the Gateways.
	Namespace string
	// Watch is the namespace of the routes. Default: all namespaces.
	Watch string
	// Address is where it serves requests. Default: any free port of 127.0.0.1.
	Address string
	// MetricsAddress is where it serves Prometheus metrics about Services, named and labeled as Traefik does. Default: nowhere.
	MetricsAddress string
	// AccessLog is the file to which it logs each request that it answered itself, in the format that the package
	// load reads.
	AccessLog string
	// Seed makes its random choices reproducible.
	Seed uint64
	// Behaviour is the initial behaviour.
	Behaviour Behaviour
}

// A Gateway serves from [Start] to [Gateway.Stop].
type Gateway struct {
	identity
	client  client.Client
	clock   clock.Clock
	address string
	log     *accessLog
	metrics *metrics
	servers []*http.Server
	proxy   http.Handler
	table   atomic.Pointer[table]
	cancel  context.CancelFunc
	running sync.WaitGroup
	// Each channel wakes one of the two loops.
	routing, reporting chan struct{}

	mu        sync.Mutex
	behaviour Behaviour
	began     time.Time // when the behaviour was set
	records   map[types.NamespacedName]*record
	known     *backends
	slow      queue // of EndpointSlices
	isStale   bool  // whether the table is outdated
	failed    error // the last failed write

	// The data path has its own locks, so that it never waits for reporting.
	drawing  sync.Mutex
	random   *rand.Rand
	counting sync.Mutex
	counts   map[int]int
	mirrors  http.RoundTripper
	copies   []Copy
}

// newGateway returns a gateway without a listener or objects.
func newGateway(options Options, c client.Client, clock clock.Clock) *Gateway {
	g := &Gateway{
		identity: identity{namespace: options.Namespace, names: append([]string{options.Name}, options.Others...), others: options.OtherParents},
		client:   c, clock: clock, log: &accessLog{path: options.AccessLog}, metrics: newMetrics(),
		routing: make(chan struct{}, 1), reporting: make(chan struct{}, 1),
		behaviour: options.Behaviour.clone(), began: clock.Now(),
		records: map[types.NamespacedName]*record{}, known: newBackends(), counts: map[int]int{},
		mirrors: newTransport(),
		random:  rand.New(rand.NewPCG(options.Seed, options.Seed)),
	}
	g.table.Store(&table{})
	g.proxy = newProxy(g)
	return g
}

// Start creates the gateway's objects and returns once it knows all existing routes. cfg's user must be allowed to
// read what a gateway reads, and to write its statuses. It serves until Stop, even after ctx ends.
func Start(ctx context.Context, cfg *rest.Config, options Options) (*Gateway, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	g := newGateway(options, c, clock.RealClock{})
	if err := g.listen(options); err != nil {
		return nil, err
	}
	ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := g.start(ctx, cfg, options); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

func (g *Gateway) start(ctx context.Context, cfg *rest.Config, options Options) error {
	if err := install(ctx, g.client, g.identity); err != nil {
		return err
	}
	if err := g.watch(ctx, cfg, options.Watch); err != nil {
		return err
	}
	g.running.Go(func() { g.pulse(ctx, g.routing, g.route) })
	g.running.Go(func() { g.pulse(ctx, g.reporting, g.report) })
	return nil
}

func (g *Gateway) listen(options Options) error {
	listener, err := net.Listen("tcp", cmp.Or(options.Address, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	g.address, g.port = listener.Addr().String(), listener.Addr().(*net.TCPAddr).Port
	g.serve(listener, g)
	if options.MetricsAddress == "" {
		return nil
	}
	listener, err = net.Listen("tcp", options.MetricsAddress)
	if err != nil {
		return errors.Join(err, g.closeServers())
	}
	g.serve(listener, g.metrics.handler())
	return nil
}

func (g *Gateway) serve(listener net.Listener, handler http.Handler) {
	// A limit for the first header would close connections that a client has opened and not used yet. A request that it sends at
	// that moment would be lost.
	server := &http.Server{Handler: handler} //nolint:gosec // only tests reach it
	g.servers = append(g.servers, server)
	g.running.Go(func() { _ = server.Serve(listener) }) // returns when the listener is closed
}

func (g *Gateway) closeServers() (err error) {
	for _, server := range g.servers {
		err = errors.Join(err, server.Close())
	}
	return err
}

// Stop closes the listeners and every connection. The gateway's objects and what it has reported remain.
func (g *Gateway) Stop() error {
	g.cancel()
	err := g.closeServers()
	g.running.Wait()
	g.log.close()
	return err
}

// Address returns where it serves requests: host and port.
func (g *Gateway) Address() string { return g.address }

// AccessLog returns the path of its access log.
func (g *Gateway) AccessLog() string { return g.log.path }

// Parents returns references to all its Gateways, and to the other parents.
func (g *Gateway) Parents() (refs []gatewayv1.ParentReference) {
	for _, name := range g.names {
		refs = append(refs, gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name), Namespace: ptr.To(gatewayv1.Namespace(g.namespace))})
	}
	return append(refs, g.others...)
}

// Behave sets the behaviour from now on. It returns at once; the effects follow as fast as the API server allows.
func (g *Gateway) Behave(b Behaviour) {
	g.mu.Lock()
	g.behaviour, g.began = b.clone(), g.clock.Now()
	g.mu.Unlock()
	g.wake()
}

// wake makes both loops run a step.
func (g *Gateway) wake() {
	for _, loop := range []chan struct{}{g.routing, g.reporting} {
		select {
		case loop <- struct{}{}:
		default: // a step is already due
		}
	}
}

// pulse runs a step now, whenever the loop is woken, and at the time that the last step returned; zero means never.
func (g *Gateway) pulse(ctx context.Context, woken <-chan struct{}, step func(context.Context, time.Time) time.Time) {
	for ctx.Err() == nil {
		var due <-chan time.Time
		stop := func() bool { return true }
		if next := step(ctx, g.clock.Now()); !next.IsZero() {
			timer := g.clock.NewTimer(next.Sub(g.clock.Now()))
			due, stop = timer.C(), timer.Stop
		}
		select {
		case <-ctx.Done():
		case <-woken:
		case <-due:
		}
		stop()
	}
}
