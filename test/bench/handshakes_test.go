//go:build linux

package main

import (
	"crypto/tls"
	"io"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// Handshakes are as many as they are said to be, and resumed where that is said.
func TestBareHandshakes(t *testing.T) {
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS() // for its certificate
	defer certificates.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", certificates.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var full, resumed atomic.Int64
	go func() { // ends with ln
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with its client
				defer raw.Close()
				c := raw.(*tls.Conn)
				if c.Handshake() != nil {
					return
				}
				if c.ConnectionState().DidResume {
					resumed.Add(1)
				} else {
					full.Add(1)
				}
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	const n = 100
	var clock time.Duration
	cpu := func() (time.Duration, error) { clock += time.Second; return clock, nil }
	m, err := bareHandshakes(netip.MustParseAddrPort(ln.Addr().String()), n, cpu)
	if err != nil {
		t.Fatal(err)
	}
	caches := int64(len(handshaker{}.cache)) // each of which has one in full before either metric
	if resumed.Load() != n || full.Load() != n+2*caches {
		t.Errorf("%d in full and %d resumed, want %d and %d", full.Load(), resumed.Load(), n+2*caches, n)
	}
	for _, name := range []string{"handshakes/s", "resumed/s"} {
		if m[name] <= 0 || m[name+" of a core"] != n {
			t.Errorf("%s: %v, and %v of a core", name, m[name], m[name+" of a core"])
		}
	}
}
