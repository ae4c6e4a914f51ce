// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/tls"
	"net"

	"k8s.io/client-go/util/cert"
)

// selfSigned is a certificate that nobody has a reason to trust.
func selfSigned() (*tls.Config, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("pods.invalid", nil, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

// handshake is how a connection begins that is in TLS, and no request of HTTP.
const handshake = 0x16

// either is in TLS or not, as the one who opened it began.
type either struct {
	net.Conn
	certificate *tls.Config
	begun       bool
}

// Read looks at the first byte first. The server reads before it writes, so Conn does not change while others use it.
func (e *either) Read(into []byte) (int, error) {
	if e.begun || len(into) == 0 {
		return e.Conn.Read(into)
	}
	if _, err := e.Conn.Read(into[:1]); err != nil {
		return 0, err
	}
	e.begun = true
	if into[0] != handshake {
		return 1, nil
	}
	e.Conn = tls.Server(&unread{Conn: e.Conn, first: []byte{handshake}}, e.certificate)
	return e.Conn.Read(into)
}

// unread gives back a byte that was read already.
type unread struct {
	net.Conn
	first []byte
}

func (u *unread) Read(into []byte) (int, error) {
	if len(u.first) == 0 {
		return u.Conn.Read(into)
	}
	n := copy(into, u.first)
	u.first = u.first[n:]
	return n, nil
}
