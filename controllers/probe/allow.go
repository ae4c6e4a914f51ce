// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Allow is where probes may connect to. The author of a rollout chooses the URL, but the manager sends the requests:
// without an administrator's permission, they could reach what only the manager can reach. The zero value allows
// nothing.
type Allow struct {
	// hosts are lower-case names. One that begins with *. matches all names with that suffix.
	hosts []string
	// networks are the allowed addresses of all other hosts.
	networks []netip.Prefix
	// isDenied is replaced only in tests.
	isDenied func(netip.Addr) bool
}

// ParseAllow parses host names, such as gateway.infra.svc and *.infra.svc, addresses and CIDRs.
func ParseAllow(entries ...string) (Allow, error) {
	allow := Allow{isDenied: isDenied}
	for _, entry := range entries {
		entry = strings.ToLower(strings.TrimSpace(entry))
		switch {
		case entry == "":
			return Allow{}, errors.New("one of the hosts, addresses and CIDRs is empty: remove the extra comma")
		case strings.Contains(entry, "%"):
			return Allow{}, fmt.Errorf("%q has an IPv6 zone, as in fd00::1%%eth0: leave out the zone", entry)
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			if prefix, err = unmap(prefix); err != nil {
				return Allow{}, err
			}
			allow.networks = append(allow.networks, prefix.Masked())
			continue
		}
		if address, err := netip.ParseAddr(entry); err == nil {
			address = address.Unmap()
			allow.networks = append(allow.networks, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		if !isName(strings.TrimPrefix(entry, "*.")) {
			return Allow{}, fmt.Errorf("%q is neither the name of a host, as in gateway.infra.svc or *.infra.svc, nor an address, nor a CIDR", entry)
		}
		allow.hosts = append(allow.hosts, entry)
	}
	return allow, nil
}

// unmap converts an IPv4-mapped IPv6 network to its IPv4 network, because addresses are compared as IPv4.
func unmap(prefix netip.Prefix) (netip.Prefix, error) {
	const mapped = 96 // bits before the IPv4 address
	switch {
	case !prefix.Addr().Is4In6():
		return prefix, nil
	case prefix.Bits() < mapped:
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4-mapped network with fewer than %d bits: write it as an IPv4 or an IPv6 network", prefix, mapped)
	}
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped), nil
}

// number matches the last label of an IPv4 address in decimal, octal or hexadecimal form.
var number = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)

// isName reports whether a lower-case host is a DNS name. An address in any form is not: an IPv6 address has colons,
// and the last label of a name is not a number, as in 10.0.0.1, 10.1, 0x0a000001 and 012.0.0.01.
func isName(host string) bool {
	return len(validation.IsDNS1123Subdomain(host)) == 0 && !number.MatchString(host[strings.LastIndex(host, ".")+1:])
}

// names reports whether a host is allowed by its name, regardless of its address. An address is never a name: its zone
// could have any suffix.
func (a Allow) names(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return isName(host) && slices.ContainsFunc(a.hosts, func(allowed string) bool {
		suffix, isWildcard := strings.CutPrefix(allowed, "*")
		return host == allowed || isWildcard && strings.HasSuffix(host, suffix)
	})
}

// mayReach reports whether a host can be allowed at all. The rest is decided once its name is resolved.
func (a Allow) mayReach(host string) bool { return len(a.networks) > 0 || a.names(host) }

// dial returns a dial function for allowed addresses. Addresses are checked after they are resolved, right before the
// connection is made, because a name may resolve to a different address each time.
func (a Allow) dial(host string) func(context.Context, string, string) (net.Conn, error) {
	isNamed := a.names(host)
	dialer := net.Dialer{Timeout: timeout, Control: func(_, target string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(target)
		if err != nil {
			return err
		}
		address := at.Addr().Unmap().WithZone("")
		if a.isDenied(address) {
			return publicError("the host resolves to a loopback, link-local or metadata address, which no probe may reach")
		}
		if !isNamed && !slices.ContainsFunc(a.networks, func(network netip.Prefix) bool { return network.Contains(address) }) {
			return notAllowed(host)
		}
		return nil
	}}
	return func(ctx context.Context, network, target string) (net.Conn, error) {
		connection, err := dialer.DialContext(ctx, network, target)
		if err != nil {
			return nil, err
		}
		return &limitedConn{Conn: connection, left: maxRead}, nil
	}
}

// notAllowed returns an error that says what an administrator has to do.
func notAllowed(host string) publicError {
	return publicError(fmt.Sprintf("the operator may not send requests to %s: an administrator can allow it with the flag --probe-allow", host))
}

var (
	// nat64 is the prefix that maps IPv4 addresses to IPv6; the last four bytes are the IPv4 address (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// metadata are the addresses of metadata services that are not link-local.
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
	}
)

// isDenied reports whether no probe may reach an address, whatever is allowed: services there trust anyone who can
// reach them.
func isDenied(address netip.Addr) bool {
	if nat64.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsMulticast() || address.IsUnspecified() ||
		slices.Contains(metadata, address)
}
