// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load sends requests through a gateway at a steady rate and records the outcome of each.
//
// The load is open: a request is sent on time whether or not earlier ones have been answered, as with many
// independent users. Nothing is retried, and nothing is dropped: a status other than 200, a transport error or a
// timeout is recorded as the [Result]. When the generator itself cannot keep up, [Stats.Skipped] and [Stats.Rate]
// show it; a test of lost requests should check that the rate was held.
package load

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// Options configures a load. Host and Rate are required.
type Options struct {
	URL         string        // default: the path / of the cluster's gateway
	Protocol    Protocol      // default: HTTP
	Host        string        // the Host header, and the server name in TLS
	Rate        float64       // requests per second, over all streams
	Timeout     time.Duration // of one request; default: 5 s
	MaxInFlight int           // maximum number of unanswered requests; default: 256
	Streams     []Stream      // streams that take a share of the requests; the rest is the stream ""

	// AccessLog is the path of the gateway's log (cluster.AccessLog), from which the pods of failed requests are
	// read, and PodAt (backend.PodAt) maps an address to a pod's name. Both are optional.
	AccessLog string
	PodAt     func(ip string) string
}

// Protocol is how requests are sent. It must match the scheme of the URL.
type Protocol string

// The protocols.
const (
	// HTTP is HTTP/1.1 with keep-alive.
	HTTP Protocol = ""
	// GRPC is gRPC calls on one HTTP/2 connection without TLS.
	GRPC Protocol = "gRPC"
	// TLS is HTTP/1.1 over TLS, each request on its own connection, because a gateway that routes TLS sees
	// connections and not requests.
	TLS Protocol = "TLS"
	// TCP is HTTP/1.1, each request on its own connection.
	TCP Protocol = "TCP"
)

// A Stream is a share of the requests with its own headers, as a header match in a route needs.
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

// Start sends requests until ctx ends or [Generator.Stop] is called.
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

// Stop ends the load and waits for outstanding answers, at most for the timeout of one request.
func (g *Generator) Stop() {
	g.cancel()
	<-g.paced
	g.flying.Wait()
	g.client.CloseIdleConnections()
}

// pace sends request i at began + i/rate. A late wake-up is caught up at once, so that the average rate holds.
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

// launch never blocks: a request without a free slot is skipped and counted.
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
