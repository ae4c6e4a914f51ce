// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load sends requests through a gateway at a steady rate and remembers what became of each.
//
// The load is open: a request is due at its time whether or not earlier ones have been answered, as from many
// independent users. Nothing is retried, and nothing is left out: what a request meets (another status than 200, a
// transport error, a time-out) is its [Result]. When the generator itself cannot keep up, [Stats.Skipped] and
// [Stats.Rate] tell; a test of lost requests should check that the rate was held.
package load

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// Options of a load. Host and Rate are required.
type Options struct {
	URL         string        // default: the path / of the cluster's gateway
	Protocol    Protocol      // default: HTTP
	Host        string        // the Host header, and the name that is asked for in TLS
	Rate        float64       // requests a second, of all streams together
	Timeout     time.Duration // of one request; default: 5 s
	MaxInFlight int           // requests that may be unanswered at a time; default: 256
	Streams     []Stream      // what takes a share of the requests; the rest is the stream ""

	// AccessLog is the gateway's (cluster.AccessLog), from which the pod of a request that the gateway could not
	// bring home is learned, and PodAt (backend.PodAt) that pod's name. Both are optional.
	AccessLog string
	PodAt     func(ip string) string
}

// Protocol is how requests are sent. The scheme of the URL goes with it.
type Protocol string

// The protocols.
const (
	// HTTP is HTTP/1.1, on connections that are kept.
	HTTP Protocol = ""
	// GRPC is calls of gRPC, on one connection of HTTP/2 without TLS.
	GRPC Protocol = "gRPC"
	// TLS is HTTP/1.1 in TLS, each request on a connection of its own, for who routes TLS sees connections, and no requests.
	TLS Protocol = "TLS"
	// TCP is HTTP/1.1, each request on a connection of its own.
	TCP Protocol = "TCP"
)

// A Stream is a share of the requests that carries headers of its own, as a header match in a route needs.
type Stream struct {
	Name    string
	Share   float64 // of Rate, 0 to 1
	Headers map[string]string
}

// A Generator sends from [Start] to [Generator.Stop].
type Generator struct {
	options Options
	client  *http.Client
	choose  *chooser
	began   time.Time

	cancel context.CancelFunc
	paced  chan struct{} // closed when no more requests are sent
	slots  chan struct{}
	flying sync.WaitGroup

	mu      sync.Mutex
	results []Result
	skipped []time.Time
	ended   time.Time
}

// Start sends until ctx ends or [Generator.Stop].
func Start(ctx context.Context, options Options) *Generator {
	options.setDefaults()
	ctx, cancel := context.WithCancel(ctx)
	g := &Generator{
		options: options,
		client:  newClient(options),
		choose:  newChooser(options.Streams),
		began:   time.Now(),
		cancel:  cancel,
		paced:   make(chan struct{}),
		slots:   make(chan struct{}, options.MaxInFlight),
	}
	go g.pace(ctx)
	return g
}

func (o *Options) setDefaults() {
	if o.URL == "" {
		o.URL = "http://" + cluster.GatewayAddress + "/"
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 256
	}
}

// Stop ends the load and waits for the answers that are due, up to the time-out of one request.
func (g *Generator) Stop() {
	g.cancel()
	<-g.paced
	g.flying.Wait()
	g.client.CloseIdleConnections()
}

// pace sends request i at began + i/rate. A late wake-up is made up for at once, so that the rate holds on average.
func (g *Generator) pace(ctx context.Context) {
	defer g.finish()
	series := strconv.FormatInt(g.began.UnixNano(), 36) + "-" // other generators share the access log
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i++ {
		due := g.began.Add(time.Duration(float64(i) / g.options.Rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			g.launch(series + strconv.Itoa(i))
		}
	}
}

func (g *Generator) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = time.Now()
	close(g.paced)
}

// launch never waits: a request for which there is no slot is skipped, and counted.
func (g *Generator) launch(id string) {
	stream := g.choose.next()
	select {
	case g.slots <- struct{}{}:
	default:
		g.mu.Lock()
		defer g.mu.Unlock()
		g.skipped = append(g.skipped, time.Now())
		return
	}
	g.flying.Go(func() {
		result := g.request(id, stream)
		<-g.slots
		g.mu.Lock()
		defer g.mu.Unlock()
		g.results = append(g.results, result)
	})
}
