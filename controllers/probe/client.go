// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const (
	// timeout is the limit for one request.
	timeout = 5 * time.Second
	// maxHeader is the maximum size of a response header, in bytes.
	maxHeader = 16 << 10
	// maxRead is the maximum number of bytes read from a connection: the TLS handshake and the response header. Without
	// it, a handshake alone may take 256 KiB.
	maxRead = 48 << 10
)

// publicError is an error that may be shown in a status. Other errors may contain what a server sent, and are never shown.
type publicError string

// Error implements error.
func (e publicError) Error() string { return string(e) }

// limitedConn is a connection with a limit on the number of bytes read.
type limitedConn struct {
	net.Conn

	left int
}

// Read implements net.Conn. Like other readers, it is not safe for concurrent use.
func (c *limitedConn) Read(into []byte) (int, error) {
	if c.left == 0 {
		return 0, publicError(fmt.Sprintf("the server sent more than %d KiB before the end of its header", maxRead>>10))
	}
	n, err := c.Conn.Read(into[:min(len(into), c.left)])
	c.left -= n
	return n, err
}

// client opens a new connection for each request, because a load balancer that works per connection would send all
// requests to the same pod. It does not follow redirects, and uses no proxy, since a proxy would resolve names itself.
func (m *measurement) client() (*http.Client, error) {
	probe := m.request.Probe
	at, err := url.Parse(probe.URL)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "":
		return nil, publicError("traffic.probe.url is not the URL of a page")
	case at.User != nil:
		return nil, publicError("traffic.probe.url must not contain a user or a password: remove them")
	case strings.Contains(at.Hostname(), "%"):
		return nil, publicError("traffic.probe.url must not contain an IPv6 zone, as in [fd00::1%25eth0]: remove it")
	case !m.allow.mayReach(at.Hostname()):
		return nil, notAllowed(at.Hostname())
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(probe.Host, at.Hostname())}
	if probe.CABundle != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(probe.CABundle)) {
			return nil, publicError("traffic.probe.caBundle holds no certificate in PEM")
		}
	}
	if m.transport == nil {
		m.transport = &http.Transport{
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, TLSClientConfig: config,
			DialContext: m.allow.dial(at.Hostname()),
		}
	}
	return &http.Client{
		Transport:     m.transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// measureOnce sends one request and returns the revision that answers.
func measureOnce(ctx context.Context, client *http.Client, probe v1alpha1.Probe) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe.URL, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Host = cmp.Or(probe.Host, request.URL.Host)
	request.Header.Set("User-Agent", "canaryrollout-probe")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	revision := response.Header.Get(probe.RevisionHeader)
	if revision == "" {
		return "", publicError(fmt.Sprintf("the response, with status %d, has no header %s", response.StatusCode, probe.RevisionHeader))
	}
	return revision, nil
}

// reason describes a failure without repeating anything that the server sent.
func reason(err error) string {
	var own publicError
	var network net.Error
	var resolving *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &own):
		return own.Error()
	case errors.As(err, &certificate):
		return "the certificate is not accepted: it must be valid for traffic.probe.host, or the host of the URL, and signed by " +
			"a public authority or one in traffic.probe.caBundle"
	case errors.As(err, &resolving):
		return "the host cannot be resolved"
	case errors.As(err, &network) && network.Timeout():
		return "no answer within " + timeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	default:
		return fmt.Sprintf("the connection broke, or the response is not HTTP, or its header is larger than %d KiB", maxHeader>>10)
	}
}
