// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"net"

	"k8s.io/client-go/util/cert"
)

// selfSigned returns a certificate that no client has a reason to trust. Its key is one of an elliptic curve, because with RSA
// the handshakes of the load take more CPU time than everything else that the pods do.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "pods.invalid"}, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}}, nil
}

// handshake is the first byte of a TLS connection. No HTTP request starts with it.
const handshake = 0x16

// either is a connection with or without TLS, as the client chose.
type either struct {
	net.Conn
	certificate *tls.Config
	begun       bool
}

// Read checks the first byte. The server reads before it writes, so Conn does not change while others use it.
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

// unread returns bytes that were already read.
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
