package attacks_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"poosh/test/heads"
)

// An assault is what strangers do to a server until ctx ends. What they have opened by
// then they hold until it is over.
type assault struct {
	t    *testing.T
	s    *server
	good *good
	ctx  context.Context

	mu    sync.Mutex // guards conns
	conns []net.Conn

	written atomic.Int64 // bytes that the server's side has taken
	done    atomic.Int64 // of whatever the attack is made of
	refused atomic.Int64 // of the same
	begun   atomic.Int64 // of the same, neither done nor refused yet
}

// begin has the assault go on until ctx ends.
func (a *assault) begin(ctx context.Context) {
	a.ctx = ctx
	context.AfterFunc(ctx, func() { // who writes or reads then stops; the connections stay
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range a.conns {
			_ = c.SetDeadline(time.Now())
		}
	})
}

// tried is how many there are of whatever the attack is made of: what is under way is done
// or refused in the end.
func (a *assault) tried() int64 { return a.done.Load() + a.refused.Load() + a.begun.Load() }

// from returns the i-th address of strangers.
func from(i int) string { return fmt.Sprintf("127.1.%d.%d", i/250%250, 1+i%250) }

// together runs do for 0 to n-1, at most so many at a time and until the time is over,
// and counts what came of it.
func (a *assault) together(n, atOnce int, do func(i int) error) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, atOnce) {
		all.Go(func() { // ends with its last i, or with ctx: every connection has its deadline
			for a.ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				a.begun.Add(1)
				if err := do(i); err != nil {
					a.refused.Add(1)
				} else {
					a.done.Add(1)
				}
				a.begun.Add(-1)
			}
		})
	}
	all.Wait()
}

// A conn is a stranger's connection.
type conn struct {
	net.Conn
	in *bufio.Reader
	a  *assault
}

// dial connects from an address, over TLS where the server speaks it.
func (a *assault) dial(port int, from string) (*conn, error) {
	c, err := a.socket(port, from)
	if err != nil || a.s.trusts == nil {
		return c, err
	}
	over := tls.Client(c.Conn, a.s.trusts)
	if err := over.HandshakeContext(a.ctx); err != nil {
		return nil, err
	}
	return &conn{over, bufio.NewReaderSize(over, 512), a}, nil
}

// socket connects from an address by TCP. The connection has little room for what it does not
// read, and stays open until the assault is over.
func (a *assault) socket(port int, from string) (*conn, error) {
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)},
		Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
			})
		},
	}
	nc, err := d.DialContext(a.ctx, "tcp", addr(port))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.conns = append(a.conns, nc)
	if a.ctx.Err() != nil {
		_ = nc.SetDeadline(time.Now())
	}
	a.mu.Unlock()
	return &conn{nc, bufio.NewReaderSize(nc, 512), a}, nil
}

// Write implements [io.Writer], and counts.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.a.written.Add(int64(n))
	return n, err
}

// flood writes b again and again until the peer takes no more or the time is over.
func (c *conn) flood(b []byte) error {
	for {
		if _, err := c.Write(b); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
	}
}

// answer reads the answer to a request, and its body.
func (c *conn) answer() (status int, body string, err error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// ask sends a request and reads the answer.
func (c *conn) ask(request string) (status int, body string, err error) {
	if _, err := io.WriteString(c, request); err != nil {
		return 0, "", err
	}
	return c.answer()
}

// webSocket is dial and a handshake, as Chromium does it.
func (a *assault) webSocket(port int, from, target string) (*conn, error) {
	c, err := a.dial(port, from)
	if err != nil {
		return nil, err
	}
	head := heads.ChromiumWebSocket.Fill(heads.Values{Target: target, Host: addr(port)})
	if _, err := c.Write(head); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(resp.Status)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Targets of WebSockets.
const (
	socketIO3    = "/socket.io/?EIO=3&transport=websocket"
	socketIO4    = "/socket.io/?EIO=4&transport=websocket"
	pusherTarget = "/app/" + pusherKey + "?protocol=7"
)

// Opcodes, RFC 6455 section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opPing         = 9
	opFinal        = 0x80
)

// frame is the beginning of a client's frame with a payload of so many bytes, and the
// part of the payload that is there. Its mask of zeros leaves the bytes as they are.
func frame(op byte, size int, payload string) []byte {
	b := []byte{op, 0x80}
	switch {
	case size < 126:
		b[1] |= byte(size)
	case size < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func text(payload string) []byte { return frame(opText|opFinal, len(payload), payload) }

// request is a POST with more header lines, each with its line end.
func request(target, headers string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: attacks\r\n%sContent-Length: %d\r\n\r\n", target, headers, length)
}

const jsonType = "Content-Type: application/json\r\n"

// poll opens a polling session and returns the target of its requests.
func (c *conn) poll(eio int) (target string, err error) {
	target = fmt.Sprintf("/socket.io/?EIO=%d&transport=polling", eio)
	status, body, err := c.ask("GET " + target + "&b64=1 HTTP/1.1\r\nHost: attacks\r\n\r\n")
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(body, `"sid":"`)
	sid, _, whole := strings.Cut(rest, `"`)
	if status != http.StatusOK || !ok || !whole {
		return "", fmt.Errorf("%d %.100s", status, body)
	}
	return target + "&sid=" + sid, nil
}

// hangUp closes what strangers have open.
func (a *assault) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.conns = nil
}

// hold keeps what is open until the time is over.
func (a *assault) hold() { <-a.ctx.Done() }

// later is how long an attack goes on once those who do nothing wrong are being looked
// at.
const later = 500 * time.Millisecond
