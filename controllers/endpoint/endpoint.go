// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// Endpoint sends requests to one server. It is safe for concurrent use.
type Endpoint struct {
	// Name is how rollouts name the endpoint.
	Name string
	// Timeout is how long a request may take.
	Timeout time.Duration
	Client  *http.Client
	// Requests limits the rate of requests.
	Requests *rate.Limiter
}

// Answer is the answer to a request.
type Answer struct {
	Status int
	Body   []byte
	// IsCut is set if the answer was longer than its limit.
	IsCut bool
}

// Send sends a request and reads the answer up to a limit, in bytes. The caller waits for Requests first.
func (e *Endpoint) Send(ctx context.Context, request *http.Request, limit int64) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	response, err := e.Client.Do(request.WithContext(ctx))
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return Answer{}, err
	}
	return Answer{response.StatusCode, body, int64(len(body)) > limit}, nil
}

// Describe describes a failed request without addresses and without anything that a server sent: an author of rollouts can
// read it.
func (e *Endpoint) Describe(err error) string {
	var network net.Error
	var resolving *net.DNSError
	var certificate *tls.CertificateVerificationError
	var file *fs.PathError
	switch {
	case errors.As(err, &certificate):
		return "its certificate is not accepted"
	case errors.As(err, &resolving):
		return "its host cannot be resolved"
	case errors.As(err, &file):
		return "a file with its credentials cannot be read"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		return "no answer within " + e.Timeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	default:
		return "the connection failed"
	}
}
