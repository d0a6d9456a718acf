//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// handshakeColumns are the metrics of bare handshakes, for all who do TLS.
func handshakeColumns() (names []string) {
	for _, metric := range []string{"handshakes/s", "handshakes/s of a core", "resumed/s", "resumed/s of a core"} {
		for _, way := range []string{ownTLS, behindNginx} {
			names = append(names, metric+", "+way)
		}
	}
	return names
}

// bareHandshakes has connections come that do a handshake of TLS 1.3, in full and resumed,
// and nothing else. cpu is the time that who serves them has used.
func bareHandshakes(at netip.AddrPort, n int, cpu func() (time.Duration, error)) (metrics, error) {
	m := make(metrics)
	for name, resume := range map[string]bool{"handshakes/s": false, "resumed/s": true} {
		h := handshaker{at: at.String(), resume: resume}
		for i := range h.cache { // each gets a ticket, and what is done once is done
			if err := h.one(i); err != nil {
				return nil, err
			}
		}
		from, err := cpu()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := h.some(n); err != nil {
			return nil, err
		}
		took := time.Since(began)
		to, err := cpu()
		if err != nil {
			return nil, err
		}
		m[name], m[name+" of a core"] = float64(n)/took.Seconds(), float64(n)/(to-from).Seconds()
	}
	return m, nil
}

// A handshaker makes connections, some at a time.
type handshaker struct {
	at     string
	resume bool
	cache  [8]tls.ClientSessionCache // one for each at a time; nil before the first
}

// some makes so many, and looks that each was resumed if that is wanted and its cache has been
// used before.
func (h *handshaker) some(n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	errs := make([]error, len(h.cache))
	var all sync.WaitGroup
	for i := range h.cache {
		all.Go(func() { // ends when enough are made
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = h.one(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (h *handshaker) one(i int) error {
	const patience = 10 * time.Second
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ServerName: "bench"}
	known := h.cache[i] != nil
	if h.resume {
		if !known {
			h.cache[i] = tls.NewLRUClientSessionCache(1)
		}
		cfg.ClientSessionCache = h.cache[i]
	}
	raw, err := net.DialTimeout("tcp", h.at, patience)
	if err != nil {
		return err
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(patience)) // it never fails
	c := tls.Client(raw, cfg)
	if err := c.Handshake(); err != nil {
		return err
	}
	if got := c.ConnectionState().DidResume; got != (h.resume && known) {
		return fmt.Errorf("a handshake was resumed: %v, want %v", got, h.resume && known)
	}
	// The server is done when it answers the end of what it is told; a ticket comes before.
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}
