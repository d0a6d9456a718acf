package websocket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/quota"
)

// bounded serves WebSockets with the bounds of a server.
func bounded(t *testing.T, cfg Config) (*site, *Server) {
	t.Helper()
	s := newSite(t, loop.Config{CloseTimeout: 200 * time.Millisecond})
	sockets := NewServer(s.loop, cfg)
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := sockets.Accept(w, r, s.options, s.handler); err == nil {
			c.Start()
			s.conns <- c
		}
	})
	return s, sockets
}

// closeCode reads a close frame and returns its code.
func closeCode(t *testing.T, nc net.Conn) int {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(nc, head); err != nil || head[0] != finBit|opClose {
		t.Fatalf("%x, %v; want a close frame", head, err)
	}
	return int(binary.BigEndian.Uint16(head[2:]))
}

// TestOpen counts connections and gives up their places.
func TestOpen(t *testing.T) {
	released := make(chan netip.Addr, 1)
	s, sockets := bounded(t, Config{Released: func(from netip.Addr) { released <- from }})
	nc := s.raw(t, nil)
	c := receive(t, s.conns, "a connection")
	if n := sockets.Open(); n != 1 {
		t.Errorf("%d are open", n)
	}
	if got := c.RemoteAddr(); got != nc.LocalAddr().String() {
		t.Errorf("remote address %s, want %s", got, nc.LocalAddr())
	}
	c.Abort(loop.ErrSlow)
	if got := receive(t, released, "the place"); got.String() != "127.0.0.1" {
		t.Errorf("the place of %v", got)
	}
	if reason := receive(t, s.handler.closed, "the end"); reason != loop.ErrSlow || sockets.Open() != 0 {
		t.Errorf("reason %v, %d are open", reason, sockets.Open())
	}
}

// TestMessageTimeout: a message that does not end has its time, however it trickles in;
// one that ends has as much for the next.
func TestMessageTimeout(t *testing.T) {
	s, _ := bounded(t, Config{MessageTimeout: 400 * time.Millisecond})
	for name, begun := range map[string][]byte{
		"half a frame":    clientFrame(finBit|opText, "hello")[:7],
		"half a header":   clientFrame(finBit|opText, "hello")[:1],
		"half a message":  clientFrame(opText, "hello"),
		"another's begun": append(clientFrame(finBit|opText, "whole"), clientFrame(opText, "hello")...),
	} {
		t.Run(name, func(t *testing.T) {
			nc := s.raw(t, begun)
			start := time.Now()
			if code := closeCode(t, nc); code != ClosePolicy || time.Since(start) < 300*time.Millisecond {
				t.Errorf("code %d after %v", code, time.Since(start))
			}
			if reason := receive(t, s.handler.closed, "the end"); reason != ErrUnfinished {
				t.Errorf("reason %v", reason)
			}
		})
	}
}

// TestMessageTimeoutWhileNothingIsRead: the time of a message does not run while its end may
// wait unread.
func TestMessageTimeoutWhileNothingIsRead(t *testing.T) {
	s, _ := bounded(t, Config{MessageTimeout: 200 * time.Millisecond})
	s.options.Outbox = 32 << 20
	first, second := clientFrame(finBit|opText, "first"), clientFrame(finBit|opText, "second")
	nc := s.raw(t, append(first, second[:7]...))
	c := receive(t, s.conns, "a connection")
	if !c.OnLoop() {
		t.Skip("connections with goroutines are always read")
	}
	receive(t, s.handler.messages, "the first")
	event, pushed := TextFrame(make([]byte, 100<<10)), 0
	for ; c.Waiting() < 4<<20; pushed += len(event) { // beyond what sockets hold
		if !c.Push(event) {
			t.Fatal("refused")
		}
	}
	c.Owe(1 << 20)
	if _, err := nc.Write(second[7:]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if _, err := io.CopyN(io.Discard, nc, int64(pushed)); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-s.handler.messages:
		if got != "false second" {
			t.Errorf("heard %q", got)
		}
	case reason := <-s.handler.closed:
		t.Errorf("closed for %v", reason)
	case <-time.After(patience):
		t.Error("not heard")
	}
}

// TestInput: what unfinished messages hold is counted, and given back when they are
// finished, or their connection ends.
func TestInput(t *testing.T) {
	input := quota.New(100 << 10)
	s, _ := bounded(t, Config{Input: input})
	message := clientFrame(finBit|opBinary, strings.Repeat("x", 10_000))
	eventually := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s, %d bytes count", what, input.Used())
			}
		}
	}
	nc := s.raw(t, message[:9000])
	eventually("half a message to count", func() bool { return input.Used() >= 9000 })
	_, _ = nc.Write(message[9000:])
	receive(t, s.handler.messages, "the message")
	eventually("a whole one to be given back", func() bool { return input.Used() == 0 })

	_, _ = nc.Write(message[:9000])
	eventually("half a message to count", func() bool { return input.Used() >= 9000 })
	_ = nc.Close()
	receive(t, s.handler.closed, "the end")
	eventually("a cut one to be given back", func() bool { return input.Used() == 0 })

	fragment := clientFrame(opBinary, strings.Repeat("x", 50_000))
	nc = s.raw(t, append(fragment, clientFrame(opContinuation, strings.Repeat("x", 50_000))...))
	if code := closeCode(t, nc); code != CloseTryLater {
		t.Errorf("code %d", code)
	}
	if reason := receive(t, s.handler.closed, "the end"); reason != loop.ErrTooMuch || input.Used() != 0 {
		t.Errorf("reason %v, %d bytes count", reason, input.Used())
	}
}

// TestSubprotocol: the first one that is offered is chosen, if the options say so.
func TestSubprotocol(t *testing.T) {
	for _, first := range []bool{false, true} {
		s, _ := bounded(t, Config{})
		s.options = Options{MaxMessage: 1000, FirstProtocol: first, Header: http.Header{"X-More": {"yes"}}}
		nc, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(nc, strings.Replace(handshake, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: one, two\r\n\r\n", 1))
		res, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("X-More") != "yes" {
			t.Fatalf("%v, %v", res, err)
		}
		if got := res.Header.Get("Sec-WebSocket-Protocol"); (got == "one") != first || !first && got != "" {
			t.Errorf("first is %v: chose %q", first, got)
		}
	}
}

// speaking is a protocol that becomes WebSocket with the first byte.
type speaking struct {
	early []byte
	full  atomic.Bool // there are too many
	open  func(http.ResponseWriter)
	raw   *loop.Conn
	*httptest.ResponseRecorder
}

func (s *speaking) Data(c *loop.Conn, data []byte) {
	if len(data) > 0 {
		s.raw, s.early = c, data[1:]
		s.open(s)
	}
}
func (*speaking) Closed(*loop.Conn, error) {}
func (*speaking) RemoteAddr() string       { return "speaking" }

func (s *speaking) Upgrade(netip.Addr) (*loop.Conn, []byte, error) {
	if s.full.Load() {
		return nil, nil, loop.ErrTooMany
	}
	return s.raw, s.early, nil
}

// TestUpgradeInPlace: a connection that is on the loop already stays there, and is read
// from the first byte behind the handshake.
func TestUpgradeInPlace(t *testing.T) {
	l, err := loop.New(loop.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &peerHandler{echo: true, closed: make(chan error, 1)}
	p := &speaking{ResponseRecorder: httptest.NewRecorder()}
	p.full.Store(true)
	refused := make(chan error, 1)
	p.open = func(w http.ResponseWriter) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		c, err := NewServer(l, Config{}).Accept(w, r, Options{MaxMessage: 1000}, h)
		if err != nil {
			refused <- err
			return
		}
		c.Text([]byte("hello"))
		c.Start()
	}
	peer, own := net.Pipe()
	defer peer.Close()
	_ = peer.SetDeadline(time.Now().Add(patience))
	c, err := l.AttachConn(own, loop.Options{Cork: true}, p)
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	_, _ = peer.Write([]byte("x"))
	if err := receive(t, refused, "a refusal"); !errors.Is(err, ErrTooMany) || !errors.Is(err, ErrHandshake) {
		t.Errorf("refused for %v", err)
	}
	p.full.Store(false)
	go func() { // ends with the pipe
		_, _ = peer.Write(append([]byte("x"), clientFrame(finBit|opText, "early")...))
		_, _ = peer.Write(clientFrame(finBit|opText, "late"))
	}()
	want := append(TextFrame([]byte("hello")), TextFrame([]byte("early"))...)
	want = append(want, TextFrame([]byte("late"))...)
	r := bufio.NewReader(peer)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// Nobody takes messages of any size by forgetting to say how large they may be.
func TestMessagesHaveABound(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a connection without a bound on its messages")
		}
	}()
	_, _ = new(Server).Accept(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), Options{}, nil)
}
