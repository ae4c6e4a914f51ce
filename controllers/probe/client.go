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
	// timeout is how long a request may take.
	timeout = 5 * time.Second
	// maxHeader is how large the header of an answer may be, in bytes.
	maxHeader = 16 << 10
	// maxRead is how much is read from a connection, in bytes: the TLS handshake and the header of the answer. Without it
	// a handshake alone may have 256 KiB.
	maxRead = 48 << 10
)

// said is an error in words of our own. Those of others may hold what a server sent, and are never shown.
type said string

// Error implements error.
func (s said) Error() string { return string(s) }

// limitedConn is a connection from which no more than a number of bytes can be read.
type limitedConn struct {
	net.Conn

	left int
}

// Read implements net.Conn. As usual, only one goroutine may read at a time.
func (c *limitedConn) Read(into []byte) (int, error) {
	if c.left == 0 {
		return 0, said(fmt.Sprintf("the server sent more than %d KiB before the end of its header", maxRead>>10))
	}
	n, err := c.Conn.Read(into[:min(len(into), c.left)])
	c.left -= n
	return n, err
}

// client opens a connection for each request: who balances connections would answer all of them alike. It takes a
// redirection for an answer, and uses no proxy, which would resolve names by itself.
func (m *measurement) client() (*http.Client, error) {
	probe := m.request.Probe
	at, err := url.Parse(probe.URL)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "":
		return nil, said("traffic.probe.url is not the URL of a page")
	case at.User != nil:
		return nil, said("traffic.probe.url must not hold a user or a password: take them out")
	case strings.Contains(at.Hostname(), "%"):
		return nil, said("traffic.probe.url must not hold an IPv6 zone, as in [fd00::1%25eth0]: take it out")
	case !m.allow.mayReach(at.Hostname()):
		return nil, notAllowed(at.Hostname())
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(probe.Host, at.Hostname())}
	if probe.CABundle != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(probe.CABundle)) {
			return nil, said("traffic.probe.caBundle holds no certificate in PEM")
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

// ask says which revision answers.
func ask(ctx context.Context, client *http.Client, probe v1alpha1.Probe) (string, error) {
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
		return "", said(fmt.Sprintf("the answer, with status %d, has no header %s", response.StatusCode, probe.RevisionHeader))
	}
	return revision, nil
}

// reason tells a failure without a word of the peer that answered.
func reason(err error) string {
	var own said
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
		return fmt.Sprintf("the connection broke, or the answer is no HTTP, or its header is larger than %d KiB", maxHeader>>10)
	}
}
