// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func TestParseAllow(t *testing.T) {
	for entry, want := range map[string]string{
		"gateway.infra.svc": "", " *.Infra.svc ": "", "10.96.0.0/12": "", "10.0.0.1": "", "fd00::/8": "",
		"": "is empty", " ": "is empty", "http://gateway": "is neither", "10.96.0.0/64": "is neither", "*": "is neither", "a,b": "is neither",
		// Addresses in forms that only some resolvers accept are not names.
		"10.0.0.256": "is neither", "10.1": "is neither", "012.0.0.01": "is neither", "0x0a000001": "is neither", "*.1": "is neither",
		"fd00::1%eth0": "has an IPv6 zone", "fd00::1%eth0/64": "has an IPv6 zone", "1.infra.svc": "",
		"::ffff:10.0.0.0/95": "is an IPv4-mapped network with fewer than 96 bits", "::ffff:10.0.0.0/96": "",
	} {
		_, err := ParseAllow(entry)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", entry, err, want)
		}
	}
}

// TestMapped checks that networks of IPv4-mapped addresses become IPv4 networks: addresses are compared as IPv4.
func TestMapped(t *testing.T) {
	for entry, want := range map[string]string{
		"::ffff:10.0.0.1": "10.0.0.1/32", "::FFFF:a00:1": "10.0.0.1/32", "::ffff:10.1.2.3/104": "10.0.0.0/8", "::ffff:0:0/96": "0.0.0.0/0",
		"10.1.2.3/8": "10.0.0.0/8", "fd00::1": "fd00::1/128", "::/0": "::/0",
	} {
		allow, err := ParseAllow(entry)
		if err != nil || len(allow.networks) != 1 || allow.networks[0].String() != want {
			t.Errorf("%s: %v, %v, want %s", entry, allow.networks, err, want)
		}
	}
}

// TestNames checks that a host is allowed by its full name or by its suffix.
func TestNames(t *testing.T) {
	allow, err := ParseAllow("Gateway.infra.svc", "*.shop.svc")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"gateway.infra.svc": true, "GATEWAY.infra.svc.": true, "a.shop.svc": true, "a.b.shop.svc": true,
		"shop.svc": false, "evilshop.svc": false, "gateway.infra.svc.evil.com": false, "x.gateway.infra.svc": false,
		// An address is not a name, and its zone can have any suffix.
		"fd00::5%.shop.svc": false, "FD00::5%.SHOP.SVC.": false, "::ffff:10.0.0.5%a.shop.svc": false, "10.0.0.5%.shop.svc": false,
		"\uff46d00::5%.shop.svc": false, "a b.shop.svc": false, "a..shop.svc": false, "a.shop.svc..": false,
		"0x0a000001": false, "167772161": false, "10.0.0.1": false, "1.shop.svc": true,
	} {
		if got := allow.names(host); got != want {
			t.Errorf("%s: allowed %t", host, got)
		}
	}
}

// TestDenied checks the addresses that are always denied, because services there trust anyone who can reach them.
func TestDenied(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.8.8.8": true, "::1": true, "169.254.169.254": true, "fe80::1": true, "0.0.0.0": true, "::": true,
		"224.0.0.1": true, "ff02::1": true, "fd00:ec2::254": true, "100.100.100.200": true, "64:ff9b::a9fe:a9fe": true, "64:ff9b::7f00:1": true,
		"10.0.0.1": false, "192.168.0.1": false, "8.8.8.8": false, "fd00::1": false, "64:ff9b::808:808": false,
	} {
		if got := isDenied(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: denied %t", address, got)
		}
	}
}

// TestDial checks that an address is checked after its name is resolved, in each of its forms. A server is listening
// there, so only the rule stops a probe.
func TestDial(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ allowed, host, want string }{
		"a name":           {"localhost", "localhost", "no probe may reach"},
		"an address":       {"127.0.0.0/8", "127.0.0.1", "no probe may reach"},
		"an IPv6 form":     {"::/0,0.0.0.0/0", "::ffff:127.0.0.1", "no probe may reach"},
		"another network":  {"10.0.0.0/8", "192.0.2.1", "an administrator can allow it with the flag --probe-allow"},
		"a name elsewhere": {"10.0.0.0/8", "localhost", "no probe may reach"},
	} {
		t.Run(name, func(t *testing.T) {
			allow, err := ParseAllow(strings.Split(tc.allowed, ",")...)
			if err != nil {
				t.Fatal(err)
			}
			connection, err := allow.dial(tc.host)(t.Context(), "tcp", net.JoinHostPort(tc.host, port))
			if err == nil {
				_ = connection.Close()
			}
			if err == nil || !strings.Contains(reason(err), tc.want) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestZone checks that a URL with an IPv6 zone is rejected, even if a name or a network would allow it.
func TestZone(t *testing.T) {
	allow, err := ParseAllow("*.infra.svc", "fd00::/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"http://[fd00::5%25.infra.svc]/", "https://[FD00::5%25eth0]:443/", "http://[::ffff:10.0.0.5%25a.infra.svc]/", "http://10.0.0.5%25.infra.svc/"} {
		m := &measurement{Prober: NewProber(allow), request: Request{Probe: v1alpha1.Probe{URL: url}}}
		if _, err := m.client(); err == nil || !strings.Contains(err.Error(), "must not contain an IPv6 zone") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestNothingAllowed checks that no request is sent to any host without an administrator's permission.
func TestNothingAllowed(t *testing.T) {
	g := newGateway(t, 5)
	for _, allowed := range [][]string{nil, {"gateway.infra.svc"}} {
		allow, err := ParseAllow(allowed...)
		if err != nil {
			t.Fatal(err)
		}
		m := &measurement{Prober: NewProber(allow), request: Request{Probe: v1alpha1.Probe{URL: g.URL, RevisionHeader: "X-Revision"}}}
		notified := 0
		m.run(t.Context(), func() { notified++ })
		want := "the probe sends no requests: the operator may not send requests to 127.0.0.1: an administrator can allow it with the flag --probe-allow"
		if got := m.result(); got.Pending != want || got.Fits || notified != 1 || g.asked.Load() != 0 {
			t.Errorf("allowed %v: %+v after %d requests, notified %d times", allowed, got, g.asked.Load(), notified)
		}
	}
}
