package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
)

// forged is an address that nobody has (RFC 5737, TEST-NET-3): whoever says that he comes
// from there lies.
var forged = netip.MustParseAddr("203.0.113.77")

const addressesOf = "addresses of clients"

// forwarded looks whether the server knows whose a connection is. It asks the operators'
// port where a session is from: an address without a port there is one that the server
// believed a proxy, see peers.Proxies.
func (x *exam) forwarded(ctx context.Context) {
	if x.Seen == nil {
		return // the caller has said why
	}
	seen, own, err := x.seen(ctx, nil)
	if err != nil {
		x.skip(addressesOf, err.Error())
		return
	}
	if seen == own {
		x.good(addressesOf + ": no proxy is in between")
		return
	}
	if seen.Port() != 0 { // as it came, from nobody who is believed
		x.notForwarded(seen, own)
		return
	}
	if x.isWrong(seen.Addr(), own.Addr()) {
		x.fault("forwarded-wrong", fmt.Sprintf("the server takes this machine for %s, and it is %s", seen.Addr(), own.Addr()))
		return
	}
	if x.Trusts != nil && x.Trusts(own.Addr()) {
		x.good(addressesOf)
		x.skip("forged addresses", "this machine is one of TRUSTED_PROXIES, so that it may say what it likes: ask from another one")
		return
	}
	again, _, err := x.seen(ctx, http.Header{"X-Forwarded-For": {forged.String()}})
	switch {
	case err != nil:
		x.skip("forged addresses", err.Error())
	case again.Addr() == forged:
		x.fault("forwarded-forged", fmt.Sprintf("with X-Forwarded-For: %s in a request the server takes this machine for that address", forged))
	default:
		x.good(addressesOf + ": the server knows that of this machine, and nobody can say another one")
	}
}

// seen begins a session and asks where it is from.
func (x *exam) seen(ctx context.Context, h http.Header) (seen, own netip.AddrPort, err error) {
	s, _, a := x.handshake(ctx, request{header: h, local: func(a net.Addr) {
		if tcp, ok := a.(*net.TCPAddr); ok {
			own = netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port())
		}
	}})
	if s == nil {
		return seen, own, fmt.Errorf("the handshake: %s", a.what())
	}
	defer s.close(ctx)
	remote, err := x.Seen(ctx, s.id)
	if err != nil {
		return seen, own, err
	}
	if seen, err = netip.ParseAddrPort(remote); err == nil {
		seen = netip.AddrPortFrom(seen.Addr().Unmap(), seen.Port())
	}
	return seen, own, err
}

// notForwarded names why the server takes the address of whoever is in front of it.
func (x *exam) notForwarded(seen, own netip.AddrPort) {
	text := fmt.Sprintf("the server takes this machine, %s, for %s, which is whoever is in front of the server", own.Addr(), seen.Addr())
	switch {
	case x.Trusts == nil || x.Trusts(seen.Addr()):
		x.fault("forwarded-missing", text)
	case isLocal(seen.Addr()):
		x.fault("proxy-not-trusted", text+", and not one of TRUSTED_PROXIES")
	default:
		x.skip(addressesOf, fmt.Sprintf("the server takes this machine for %s: if that is not its public address, but a proxy's, set TRUSTED_PROXIES", seen.Addr()))
	}
}

// isWrong reports whether a machine at own cannot be seen as another address: a public one
// stands for many, if it is asked over public ones.
func (x *exam) isWrong(seen, own netip.Addr) bool {
	if isLocal(x.to.Addr()) {
		return seen != own
	}
	return isLocal(seen)
}

func isLocal(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
}
