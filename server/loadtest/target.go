package loadtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// A Target is a server whose name was resolved, once: connections go to the addresses that
// it had then, through no proxy, and nothing is sent on to where an answer points. So what
// was said to be this machine's own stays that.
type Target struct {
	url   *url.URL // scheme http or https, host, and maybe a path before all others
	addrs []netip.AddrPort
	tls   *tls.Config

	spread bool          // connect from several addresses, for more ports than one has
	turn   atomic.Uint32 // which of them is next
}

// Resolve looks up where u is: an address of http or https. insecure has certificates not
// be checked.
func Resolve(ctx context.Context, u *url.URL, insecure bool) (*Target, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is no host with a port", u.Host)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, err
	}
	t := &Target{url: u, tls: &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: insecure, NextProtos: []string{"http/1.1"}}}
	for _, a := range found {
		t.addrs = append(t.addrs, netip.AddrPortFrom(a.Unmap(), uint16(number)))
	}
	return t, nil
}

// Host is the name and port that the target was given by.
func (t *Target) Host() string { return t.url.Host }

// Hostname is the name alone.
func (t *Target) Hostname() string { return t.url.Hostname() }

// Loopback reports whether all of its addresses are this machine's own.
func (t *Target) Loopback() bool {
	for _, a := range t.addrs {
		if !a.Addr().IsLoopback() {
			return false
		}
	}
	return len(t.addrs) > 0
}

// at is an address on the server, below its own path.
func (t *Target) at(path, query string) *url.URL {
	u := *t.url
	u.Path += path
	u.RawQuery = query
	return &u
}

// sources are the addresses that a large crowd connects from to loopback: one has some
// 28,000 ports.
const (
	sources      = 8
	portsOfOne   = 20_000
	sourceOfFour = "127.0.0.0"
)

// dial connects to the first of the addresses that answers, whatever the name in addr.
func (t *Target) dial(ctx context.Context, network, _ string) (conn net.Conn, err error) {
	for _, to := range t.addrs {
		d := net.Dialer{KeepAlive: -1}
		if t.spread && runtime.GOOS == "linux" && to.Addr().Is4() && to.Addr().IsLoopback() {
			from := netip.MustParseAddr(sourceOfFour).As4()
			from[3] = byte(2 + t.turn.Add(1)%sources)
			d.LocalAddr = &net.TCPAddr{IP: from[:]}
		}
		if conn, err = d.DialContext(ctx, network, to.String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// now is the time since the process started, in nanoseconds: the clock of all payloads.
func now() int64 { return int64(time.Since(started)) }

var started = time.Now()
