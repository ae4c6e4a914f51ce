// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

// A Result is the outcome of one request.
type Result struct {
	ID       string // its X-Request-Id header
	Start    time.Time
	Duration time.Duration // until the full answer was read, or the failure
	Stream   string
	Status   int   // 0 without an answer
	Err      error // why the request failed; nil for a full answer with status 200

	// The pod that answered. For a failed request that no pod answered, [Generator.Failures] fills in the pod it was
	// sent to, as far as Options allow.
	Pod, Revision, Version string
	PodIP                  string // only for such failed requests
}

// String formats the result for a test's message.
func (r Result) String() string {
	return fmt.Sprintf("%s stream %q status %d after %s pod %q %s revision %q: %v", r.Start.Format("15:04:05.000"),
		r.Stream, r.Status, r.Duration.Round(time.Millisecond), r.Pod, r.PodIP, r.Revision, r.Err)
}

// errRetried: the HTTP client retries by itself when a kept-alive connection turns out to be dead. The retry hides
// that a request was lost, so it counts as a failure here.
var errRetried = errors.New("the connection was lost and the client sent the request again")

// newClient keeps connections alive as a busy client does, if the protocol allows it, and follows no redirects.
func newClient(options Options) *http.Client {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: options.Timeout}).DialContext,
		MaxIdleConnsPerHost: options.MaxInFlight,
		DisableCompression:  true,
		DisableKeepAlives:   options.Protocol == TLS || options.Protocol == TCP,
		TLSClientConfig: &tls.Config{
			ServerName:         options.Host,
			InsecureSkipVerify: true,                         // pods may have any certificate
			CurvePreferences:   []tls.CurveID{tls.CurveP256}, // the cheapest: each request is a handshake
		},
	}
	if options.Protocol == GRPC {
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request does not use the generator's context: requests in flight when it stops are still answered.
func (g *Generator) request(id string, stream Stream) Result {
	result := Result{ID: id, Start: time.Now(), Stream: stream.Name}
	connections := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections++ },
	})
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	result.Err = g.send(ctx, stream, &result)
	if result.Err == nil && connections > 1 {
		result.Err = errRetried
	}
	result.Duration = time.Since(result.Start)
	return result
}

func (g *Generator) send(ctx context.Context, stream Stream, result *Result) error {
	request, err := g.newRequest(ctx)
	if err != nil {
		return err
	}
	request.Host = g.options.Host
	request.Header.Set(requestIDHeader, result.ID)
	for name, value := range stream.Headers {
		request.Header.Set(name, value)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	result.Status = response.StatusCode
	result.Pod = response.Header.Get(backend.PodHeader)
	result.Revision = response.Header.Get(backend.RevisionHeader)
	result.Version = response.Header.Get(backend.VersionHeader)
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	if status := response.Trailer.Get(backend.GRPCStatus); g.options.Protocol == GRPC && status != "0" {
		return fmt.Errorf("gRPC status %q", status)
	}
	return nil
}

func (g *Generator) newRequest(ctx context.Context) (*http.Request, error) {
	if g.options.Protocol != GRPC {
		return http.NewRequestWithContext(ctx, http.MethodGet, g.options.URL, http.NoBody)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.options.URL, bytes.NewReader(make([]byte, 5))) // an empty message
	if err == nil {
		request.Header.Set("Content-Type", backend.GRPC)
		request.Header.Set("TE", "trailers")
	}
	return request, err
}

// A chooser assigns each request to a stream at random by share, with the same seed in every run. At regular
// intervals a stream could fall into step with a gateway that picks backends in turn: every tenth request would reach
// the same one, and the others' share would not be the weight.
type chooser struct {
	streams []Stream
	random  *rand.Rand
}

// newChooser assigns the remaining share to the stream "".
func newChooser(streams []Stream) *chooser {
	return &chooser{streams: streams, random: rand.New(rand.NewPCG(1, 1))}
}

func (c *chooser) next() Stream {
	at := c.random.Float64()
	for _, stream := range c.streams {
		if at -= stream.Share; at < 0 {
			return stream
		}
	}
	return Stream{}
}
