// Package peers says whose a connection is: the address that bounds count by.
package peers

import (
	"net"
	"net/netip"
)

// Network returns what an address counts as: an IPv4 address as it is, mapped into
// IPv6 or not, and of an IPv6 address its /64 network, since one host may use all
// of that. A zone is dropped. The zero Addr stays what it is.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// Of returns the network of an address with port, as http.Request.RemoteAddr has
// it; the zero Addr for one that cannot be read.
func Of(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return Network(ap.Addr())
}

// Addr returns the address of a connection's peer; the zero Addr if it has none.
func Addr(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
