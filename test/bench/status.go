//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"poosh/test/bench/load"
)

// statusTimeout is how long poosh may take to write its line of status: it is
// asked while a crowd is at work.
const statusTimeout = 10 * time.Second

// A status is poosh's line of status, by key.
type status map[string]string

// status asks poosh for a line of status and waits for it.
func (p *process) status() (status, error) {
	from, err := p.output.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	for end := time.Now().Add(statusTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if line, ok := findStatus(p.output, from); ok {
			return line, nil
		}
	}
	return nil, fmt.Errorf("no status after SIGUSR1: %s", p.printed())
}

// findStatus looks for a whole line of status in what a server printed from an
// offset on.
func findStatus(output *os.File, from int64) (status, bool) {
	text, err := io.ReadAll(io.NewSectionReader(output, from, 1<<20))
	if err != nil {
		return nil, false
	}
	for line := range bytes.Lines(text) {
		if bytes.HasSuffix(line, []byte("\n")) && bytes.Contains(line, []byte(" msg=status ")) {
			return parseStatus(string(line)), true
		}
	}
	return nil, false
}

// parseStatus reads the key=value pairs of a line of the log. Values with blanks
// are not told apart from what follows; no number has any.
func parseStatus(line string) status {
	s := make(status)
	for _, pair := range strings.Fields(line) {
		if key, value, found := strings.Cut(pair, "="); found {
			s[key] = value
		}
	}
	return s
}

// number returns the value of a key, which must be there.
func (s status) number(key string) (int64, error) {
	value, ok := s[key]
	if !ok {
		return 0, fmt.Errorf("the line of status has no %s", key)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the line of status: %s: %w", key, err)
	}
	return n, nil
}

// checkHome makes sure that the connections of n clients are where poosh means them
// to live, on the loop: one that stands on goroutines works, but at several times
// the cost, and a measurement would be of something that few see or all do.
func (s status) checkHome(p load.Protocol, n int) error {
	stray, err := s.number("goroutine_connections")
	if err != nil {
		return err
	}
	if stray != 0 {
		return fmt.Errorf("%d of %d clients' connections stand on goroutines instead of the loop", stray, n)
	}
	if p == load.Poll3 || p == load.Poll4 {
		return nil // how many wait at one moment changes
	}
	sockets, err := s.number("websockets")
	if err == nil && sockets < int64(n) {
		err = fmt.Errorf("poosh knows of %d WebSockets, not of %d", sockets, n)
	}
	return err
}

// checkHome looks where the connections of the crowd live, which is in question for
// poosh alone. Those over TLS have goroutines.
func (s *trial) checkHome() error {
	if !s.entrant.isPoosh() || s.opts.tls {
		return nil
	}
	nodes := []*process{s.server}
	if s.cluster != nil {
		nodes = s.cluster.nodes
	}
	for _, p := range nodes {
		line, err := p.status()
		if err != nil {
			return err
		}
		if err := line.checkHome(s.entrant.protocol, s.crowd.At(p.clients)); err != nil {
			return errors.Join(err, fmt.Errorf("status %v", line))
		}
	}
	return nil
}

// stuck returns how many bytes poosh holds for clients that take nothing.
func (p *process) stuck() (int64, error) {
	line, err := p.status()
	if err != nil {
		return 0, err
	}
	return line.number("stuck_bytes")
}
