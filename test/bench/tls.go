//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"poosh/test/bench/load"
)

// overTLS are the ways that clients of the work tls come, by the name that its metrics
// have.
const (
	withoutTLS  = "without"
	ownTLS      = "own TLS"
	behindNginx = "nginx"
)

// tlsColumns are the metrics of the work tls: each for all the ways.
func tlsColumns() (names []string) {
	for _, metric := range []string{"cpu us", "p99 ms", "KB/connection", "connects/s", "cpu us/connect", "connects/s of a core"} {
		for _, way := range []string{withoutTLS, ownTLS, behindNginx} {
			names = append(names, metric+", "+way)
		}
	}
	names = append(names, handshakeColumns()...)
	return append(names, "cpu us, nginx alone", "KB/connection, nginx alone", "cpu us/connect, nginx alone")
}

// secured compares clients without TLS, with TLS of poosh's own, and with nginx doing TLS
// in front, in processes each. Every connection has a handshake in full.
func secured(s *trial, w work) error {
	m := make(metrics)
	take := func(t *trial, way string, front *process) error {
		got, err := t.costs(w, front)
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		for name, value := range got {
			if !strings.HasSuffix(name, " alone") { // which says itself of whom it is
				name += ", " + way
			}
			m[name] = value
		}
		return nil
	}
	shake := func(at netip.AddrPort, way string, cpu func() (time.Duration, error)) error {
		got, err := bareHandshakes(at, 2*w.clients, cpu)
		for name, value := range got {
			m[name+", "+way] = value
		}
		return err
	}
	if err := take(s, withoutTLS, nil); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-tls-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeCertificate(dir); err != nil {
		return err
	}
	o := s.opts
	o.tls = true
	o.env = strings.TrimSpace(o.env + " TLS_CERT=" + filepath.Join(dir, "certificate.pem") + " TLS_KEY=" + filepath.Join(dir, "key.pem"))
	own, err := s.another(o)
	if err != nil {
		return err
	}
	way, err := own.sendThroughTLS()
	if err == nil {
		err = take(own, ownTLS, nil)
		way()
	}
	if err == nil {
		err = shake(own.server.clients, ownTLS, own.server.cpu)
	}
	own.close()
	if err != nil {
		return err
	}
	behind, err := s.another(s.opts)
	if err != nil {
		return err
	}
	defer behind.close()
	front, err := startProxy(behind.server.clients)
	if err != nil {
		return err
	}
	defer front.close()
	cfg := behind.crowdConfig()
	cfg.Addr, cfg.TLS = front.process.clients, true
	crowd, err := load.NewCrowd(cfg)
	if err != nil {
		return err
	}
	behind.crowd.Close()
	behind.crowd = crowd
	if err := take(behind, behindNginx, front.process); err != nil {
		return fmt.Errorf("%w\nnginx: %s", err, front.process.printed())
	}
	if err := shake(front.process.clients, behindNginx, front.process.cpuWithChildren); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	s.record(m)
	return nil
}

// sendThroughTLS has events sent to a port that speaks TLS, where that is the clients' own, as
// Pusher's is: publishers speak none, so their bytes pass through a connection that does.
// What it returns ends that.
func (s *trial) sendThroughTLS() (end func(), err error) {
	if s.server.senders != s.server.clients {
		return func() {}, nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	to := s.server.senders.String()
	s.server.senders = ln.Addr().(*net.TCPAddr).AddrPort()
	go func() { // until the end
		for {
			plain, err := ln.Accept()
			if err != nil {
				return
			}
			go encrypt(plain, to)
		}
	}()
	return func() { _ = ln.Close() }, nil
}

// encrypt carries a publisher's bytes to a server over TLS until either ends, and its answers back.
func encrypt(plain net.Conn, to string) {
	defer plain.Close()
	sealed, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer sealed.Close()
	go func() { // ends with either
		defer plain.Close()
		_, _ = io.Copy(plain, sealed)
	}()
	_, _ = io.Copy(sealed, plain)
}

// costs connects clients, looks at what they take when nothing happens, and delivers to
// them. What a process in front uses is part of it, and told alone too.
func (s *trial) costs(w work, front *process) (metrics, error) {
	var empty int64
	clock := func() (time.Duration, error) { return 0, nil }
	if front != nil {
		clock = front.cpuWithChildren
		var err error
		if empty, err = front.memoryWithChildren(); err != nil {
			return nil, err
		}
	}
	from, err := clock()
	if err != nil {
		return nil, err
	}
	spent, err := s.connect(w.clients)
	if err != nil {
		return nil, err
	}
	to, err := clock()
	if err != nil {
		return nil, err
	}
	if err := s.settle(w.duration); err != nil {
		return nil, err
	}
	held, err := s.perConnection()
	if err != nil {
		return nil, err
	}
	n, connecting := float64(w.clients), spent.server+to-from
	m := metrics{
		"KB/connection": held["KB/connection"], "connects/s": n / spent.clock.Seconds(),
		"cpu us/connect": micros(connecting) / n, "connects/s of a core": n / connecting.Seconds(),
	}
	if front != nil {
		full, err := front.memoryWithChildren()
		if err != nil {
			return nil, err
		}
		alone := float64(full-empty) / n / 1024
		m["KB/connection"] += alone
		m["KB/connection, nginx alone"], m["cpu us/connect, nginx alone"] = alone, micros(to-from)/n
	}
	if _, err := s.deliver(1, 10, w.interval/4); err != nil {
		return nil, err
	}
	if from, err = clock(); err != nil {
		return nil, err
	}
	got, err := s.deliver(1, w.events, w.interval)
	if err != nil {
		return nil, err
	}
	if to, err = clock(); err != nil {
		return nil, err
	}
	m["cpu us"], m["p99 ms"] = got["cpu us"]+micros(to-from)/got["deliveries"], got["p99 ms"]
	if front != nil {
		m["cpu us, nginx alone"] = micros(to-from) / got["deliveries"]
	}
	return m, nil
}

// memoryWithChildren is what a process and those that it has started hold, in bytes, with
// pages that they share counted once.
func (p *process) memoryWithChildren() (sum int64, err error) {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	text, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for _, id := range append(strings.Fields(string(text)), pid) {
		pss, bad := field("/proc/"+id+"/smaps_rollup", "Pss:")
		sum, err = sum+pss, errors.Join(err, bad)
	}
	return sum, err
}
