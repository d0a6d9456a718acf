package conformance_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"poosh/test/heads"
	"poosh/test/process"
)

// Opcodes, RFC 6455, section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	fin  = 0x80
	mask = 0x80
)

// ended is how long TCP may stay open once both sides have sent a close frame, beside what
// the server takes at that time to answer a ping: more than a hundred cases are at it.
const ended = 500 * time.Millisecond

// frame makes a client's frame with a random mask. first is its first byte.
func frame(first byte, payload string) []byte {
	return framed(first, len(payload), payload)
}

// framed makes a frame that announces n bytes.
func framed(first byte, n int, payload string) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	return masked(b, payload)
}

// masked appends a mask and a payload under it to the beginning of a frame.
func masked(head []byte, payload string) []byte {
	var key [4]byte
	_, _ = rand.Read(key[:]) // which never fails
	b := append(head, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i&3])
	}
	return b
}

func text(payload string) []byte { return frame(fin|opText, payload) }
func ping(payload string) []byte { return frame(fin|opPing, payload) }

// code is the payload of a close frame.
func code(n int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(n))) + reason
}

func join(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

// A peer is a client on its WebSocket.
type peer struct {
	net.Conn
	t  *testing.T
	d  *dialect
	in *bufio.Reader
}

// dial connects without asking for anything.
func (d *dialect) dial(t *testing.T) *peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", address(d.port), process.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(process.Patience)); err != nil {
		t.Fatal(err)
	}
	if d.trusts != nil {
		nc = tls.Client(nc, d.trusts) // shakes hands with what is said first
	}
	return &peer{nc, t, d, bufio.NewReader(nc)}
}

// open does the handshake of Chromium and reads the greeting.
func (d *dialect) open(t *testing.T) *peer {
	t.Helper()
	return d.openAt(t, d.target())
}

// openAt is open with another target.
func (d *dialect) openAt(t *testing.T, target string) *peer {
	t.Helper()
	p := d.dial(t)
	p.send(heads.ChromiumWebSocket.Fill(heads.Values{Target: target, Host: address(d.port)}))
	if res := p.response(); res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered %s", res.Status)
	}
	p.greeted()
	return p
}

// greeted hears the greeting and goes where messages are taken.
func (p *peer) greeted() {
	p.t.Helper()
	if p.d.greeting != "" {
		p.hear("begins " + p.d.greeting)
	}
	if p.d.enter != "" {
		p.send(text(p.d.enter))
		p.hear("begins " + p.d.entered)
	}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) response() *http.Response {
	p.t.Helper()
	res, err := http.ReadResponse(p.in, &http.Request{Method: http.MethodGet})
	if err != nil {
		p.t.Fatalf("answer to the handshake: %v", err)
	}
	return res
}

// next reads a frame, which must be one that a server may send.
func (p *peer) next() (op byte, payload string, err error) {
	var head [10]byte
	if _, err := io.ReadFull(p.in, head[:2]); err != nil {
		return 0, "", err
	}
	n, least := uint64(head[1]), uint64(0)
	switch n {
	case 126:
		_, err = io.ReadFull(p.in, head[2:4])
		n, least = uint64(binary.BigEndian.Uint16(head[2:])), 126
	case 127:
		_, err = io.ReadFull(p.in, head[2:10])
		n, least = binary.BigEndian.Uint64(head[2:]), 1<<16
	}
	switch op = head[0] &^ fin; {
	case err != nil:
		return 0, "", err
	case head[1]&mask != 0, n < least, n > 4*maxMessage:
		return 0, "", fmt.Errorf("%w: length % x", errServerFrame, head)
	case op > opBinary && op < opClose, op > opPong, op >= opClose && (n > 125 || head[0]&fin == 0):
		return 0, "", fmt.Errorf("%w: head % x", errServerFrame, head)
	}
	b := make([]byte, n)
	if _, err = io.ReadFull(p.in, b); err != nil {
		return 0, "", err
	}
	if op == opText && !utf8.Valid(b) {
		return 0, "", fmt.Errorf("%w: text that is not UTF-8", errServerFrame)
	}
	return op, string(b), nil
}

var errServerFrame = errors.New("a frame that no server may send")

// hear reads one frame and compares it with what is wanted: "pong X" for one with the
// payload X, "begins X" or "holds X" for a text.
func (p *peer) hear(want string) {
	p.t.Helper()
	op, payload, err := p.next()
	if err != nil {
		p.t.Fatalf("waiting for %.100q: %v", want, err)
	}
	kind, value, _ := strings.Cut(want, " ")
	good := map[string]bool{
		"pong":   op == opPong && payload == value,
		"begins": op == opText && strings.HasPrefix(payload, value),
		"holds":  op == opText && strings.Contains(payload, value),
	}[kind]
	if !good {
		p.t.Fatalf("waiting for %.100q: a frame of kind %d: %.200q", want, op, payload)
	}
}

// alive shows that the connection still takes and answers messages.
func (p *peer) alive() {
	p.t.Helper()
	message, answer := p.d.ask(9999, "")
	p.send(join(ping("alive"), text(message)))
	p.hear("pong alive")
	p.hear("holds " + answer)
}

// hearClose reads a close frame and returns its code, or 1005 if it has none. What
// Socktopus says before it ends a connection is passed over.
func (p *peer) hearClose() int {
	p.t.Helper()
	for {
		op, payload, err := p.next()
		switch {
		case err != nil:
			p.t.Fatalf("waiting for a close frame: %v", err)
		case op == opText && payload == "CLOSE" && p.d.name == "socktopus":
		case op != opClose:
			p.t.Fatalf("waiting for a close frame: one of kind %d: %.200q", op, payload)
		case payload == "":
			return 1005
		case len(payload) == 1 || !utf8.ValidString(payload[2:]):
			p.t.Fatalf("a close frame of %q", payload)
		default:
			return int(binary.BigEndian.Uint16([]byte(payload)))
		}
	}
}

// hearEnd waits for the end of TCP, which must come within d. Nothing may be said
// before it.
func (p *peer) hearEnd(d time.Duration) {
	p.t.Helper()
	begin := time.Now()
	if err := p.SetReadDeadline(begin.Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	op, payload, err := p.next()
	took := time.Since(begin)
	var timeout net.Error
	switch {
	case err == nil:
		p.t.Errorf("after the close frame: a frame of kind %d: %.200q", op, payload)
	case errors.As(err, &timeout) && timeout.Timeout():
		p.t.Errorf("TCP was still open after %v", took)
	case took > d:
		if busy := p.d.gauge.longest(begin, begin.Add(took)); took > d+busy {
			p.t.Errorf("TCP ended after %v, want at most %v, and %v more for a server that is busy", took.Round(time.Millisecond), d, busy)
		}
	}
}
