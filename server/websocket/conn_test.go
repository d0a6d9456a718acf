package websocket

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/certificate/certificatetest"
	"poosh/server/loop"
	"poosh/server/secure"
)

const patience = 60 * time.Second

// peerHandler records what a connection is told; "echo" sends messages back.
type peerHandler struct {
	echo     bool
	messages chan string
	closed   chan error
	answers  bool // as echo does
}

func (h *peerHandler) Message(c *Conn, binary bool, data []byte) {
	if string(data) == "panic" {
		panic("asked to")
	}
	if h.answers {
		c.Answer(TextFrame(data))
		return
	}
	if h.echo {
		c.Text(data)
		return
	}
	h.messages <- fmt.Sprintf("%v %s", binary, data)
}

func (h *peerHandler) Closed(_ *Conn, reason error) { h.closed <- reason }

// site is a loop behind an HTTP server.
type site struct {
	loop    *loop.Loop
	sockets *Server
	server  *httptest.Server
	handler *peerHandler
	conns   chan *Conn
	options Options     // of each connection; set before the first
	costs   bool        // its connections have goroutines
	tls     *tls.Config // of who dials; nil for a site without
}

// both runs a test on every kind of connection.
func both(t *testing.T, cfg loop.Config, test func(t *testing.T, s *site)) {
	for _, kind := range []struct {
		name            string
		goroutines, tls bool
	}{{"epoll", false, false}, {"goroutines", true, false}, {"TLS", false, true}} {
		t.Run(kind.name, func(t *testing.T) {
			cfg.Goroutines = kind.goroutines
			s := newSite(t, cfg)
			s.costs = kind.goroutines || kind.tls
			if kind.tls {
				s.secure(t)
			}
			test(t, s)
		})
	}
}

// socketOf is the socket of a connection.
func socketOf(nc net.Conn) *net.TCPConn {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	return nc.(*net.TCPConn)
}

// secure has the site speak TLS from now on, as ports do.
func (s *site) secure(t testing.TB) {
	a := certificatetest.New(t)
	s.server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := s.server.Config.Handler
	s.server = &httptest.Server{Listener: shaking{ln, secure.NewGate(a.Server("websocket.example"))}, Config: &http.Server{Handler: handler}}
	s.server.Start()
	t.Cleanup(s.server.Close)
	s.tls = a.Client()
}

// shaking is a listener that shakes hands at once.
type shaking struct {
	net.Listener
	gate *secure.Gate
}

func (l shaking) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := l.gate.Server(nc.(*net.TCPConn))
	return c, c.Shake(patience, nil)
}

func newSite(t testing.TB, cfg loop.Config) *site {
	t.Helper()
	l, err := loop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := siteOn(t, l)
	t.Cleanup(func() {
		s.server.Close()
		l.Close()
		if st := l.Stats(); st.Conns != 0 || st.Queued != 0 || st.Blocked != 0 {
			t.Errorf("left behind: %+v", st)
		}
	})
	return s
}

// siteOn is a site on a loop that the test closes.
func siteOn(t testing.TB, l *loop.Loop) *site {
	s := &site{loop: l, sockets: NewServer(l, Config{}), options: Options{MaxMessage: 1_000_000}, conns: make(chan *Conn, 10000),
		handler: &peerHandler{messages: make(chan string, 100), closed: make(chan error, 10000)}}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.sockets.Accept(w, r, s.options, s.handler)
		if errors.Is(err, ErrHandshake) {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		if err != nil {
			return
		}
		c.Start()
		s.conns <- c
	}))
	t.Cleanup(s.server.Close)
	return s
}

// dial connects a real client.
func (s *site) dial(t testing.TB) (*websocket.Conn, *Conn) {
	t.Helper()
	dialer, url := *websocket.DefaultDialer, "ws"+strings.TrimPrefix(s.server.URL, "http")
	if s.tls != nil {
		dialer.TLSClientConfig, url = s.tls, "wss://"+s.server.Listener.Addr().String()
	}
	ws, _, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	c := receive(t, s.conns, "a connection")
	if c.OnLoop() == s.costs {
		t.Errorf("the connection lives elsewhere: on the loop %v", c.OnLoop())
	}
	return ws, c
}

// handshake asks for a WebSocket with the key of RFC 6455 section 1.3.
const handshake = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// raw connects and sends early right behind the handshake.
func (s *site) raw(t testing.TB, early []byte) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	if s.tls != nil {
		nc = tls.Client(nc, s.tls)
	}
	if _, err := nc.Write(append([]byte(handshake), early...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 0, 256)
	for one := make([]byte, 1); !bytes.HasSuffix(answer, []byte("\r\n\r\n")); answer = append(answer, one[0]) {
		if _, err := nc.Read(one); err != nil {
			t.Fatalf("%v after %q", err, answer)
		}
	}
	// RFC 6455 section 1.3 gives the key and its answer.
	if !bytes.Contains(answer, []byte("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		t.Fatalf("answer %q", answer)
	}
	return nc
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// clientFrame builds a masked frame.
func clientFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, maskBit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	masked := []byte(payload)
	for i := range masked {
		masked[i] ^= key[i%4]
	}
	return append(b, masked...)
}

func TestEcho(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		s.handler.echo = true
		ws, _ := s.dial(t)
		for _, n := range []int{0, 1, 125, 126, 65535, 65536, 900_000} {
			want := strings.Repeat("é", n/2) + strings.Repeat("x", n%2)
			if err := ws.WriteMessage(websocket.TextMessage, []byte(want)); err != nil {
				t.Fatal(err)
			}
			_, got, err := ws.ReadMessage()
			if err != nil || string(got) != want {
				t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
			}
		}
	})
}

func TestBytesBehindTheHandshake(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		early := append(clientFrame(0x81, "one"), clientFrame(0x82, "two")...)
		nc := s.raw(t, append(early, clientFrame(0x81, "three")[:5]...))
		if got := receive(t, s.handler.messages, "the first message"); got != "false one" {
			t.Errorf("first %q", got)
		}
		if got := receive(t, s.handler.messages, "the second message"); got != "true two" {
			t.Errorf("second %q", got)
		}
		_, _ = nc.Write(clientFrame(0x81, "three")[5:])
		if got := receive(t, s.handler.messages, "the third message"); got != "false three" {
			t.Errorf("third %q", got)
		}
	})
}

func TestFramesInPieces(t *testing.T) {
	both(t, loop.Config{}, func(t *testing.T, s *site) {
		nc := s.raw(t, nil)
		var stream []byte
		stream = append(stream, clientFrame(0x01, "fra")...)
		stream = append(stream, clientFrame(0x89, "ping")...)
		stream = append(stream, clientFrame(0x00, "gmen")...)
		stream = append(stream, clientFrame(0x8A, "unasked")...)
		stream = append(stream, clientFrame(0x80, "ted")...)
		for _, b := range stream {
			_, _ = nc.Write([]byte{b})
		}
		if got := receive(t, s.handler.messages, "the message"); got != "false fragmented" {
			t.Errorf("got %q", got)
		}
		pong := make([]byte, 6)
		if _, err := nc.Read(pong); err != nil || string(pong) != "\x8a\x04ping" {
			t.Errorf("pong %q, %v", pong, err)
		}
	})
}

func TestBreaches(t *testing.T) {
	tests := []struct {
		name   string
		in     []byte
		code   int
		reason loop.Reason
	}{
		{"unmasked", []byte("\x81\x01x"), CloseProtocol, ErrProtocol},
		{"reserved bit", clientFrame(0xC1, "x"), CloseProtocol, ErrProtocol},
		{"unknown opcode", clientFrame(0x83, "x"), CloseProtocol, ErrProtocol},
		{"unknown control opcode", clientFrame(0x8B, "x"), CloseProtocol, ErrProtocol},
		{"fragmented ping", clientFrame(0x09, "x"), CloseProtocol, ErrProtocol},
		{"long ping", clientFrame(0x89, strings.Repeat("x", 126)), CloseProtocol, ErrProtocol},
		{"continuation of nothing", clientFrame(0x80, "x"), CloseProtocol, ErrProtocol},
		{"two messages at once", append(clientFrame(0x01, "x"), clientFrame(0x81, "y")...), CloseProtocol, ErrProtocol},
		{"length not minimal", []byte("\x81\xfe\x00\x01\x00\x00\x00\x00x"), CloseProtocol, ErrProtocol},
		{"length of many bytes", []byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), CloseTooBig, ErrTooBig},
		{"negative length", []byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), CloseTooBig, ErrTooBig},
		{"too big", clientFrame(0x81, strings.Repeat("x", 5001)), CloseTooBig, ErrTooBig},
		{"too big in pieces", append(clientFrame(0x01, strings.Repeat("x", 3000)), clientFrame(0x00, strings.Repeat("x", 3000))...), CloseTooBig, ErrTooBig},
		{"not UTF-8", clientFrame(0x81, "\xff"), CloseInvalidData, ErrProtocol},
		{"half a code", clientFrame(0x88, "x"), CloseProtocol, ErrProtocol},
		{"a code nobody may send", clientFrame(0x88, "\x03\xed"), CloseProtocol, ErrProtocol},
	}
	both(t, loop.Config{CloseTimeout: 200 * time.Millisecond}, func(t *testing.T, s *site) {
		s.options.MaxMessage = 5000
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				nc := s.raw(t, tt.in)
				head := make([]byte, 4)
				if _, err := nc.Read(head); err != nil || head[0] != 0x88 || int(binary.BigEndian.Uint16(head[2:])) != tt.code {
					t.Errorf("answer %x, %v; want close %d", head, err, tt.code)
				}
				if got := receive(t, s.handler.closed, "the end"); got != tt.reason {
					t.Errorf("reason %v, want %v", got, tt.reason)
				}
			})
		}
	})
}

func TestClose(t *testing.T) {
	t.Run("by the server", func(t *testing.T) {
		both(t, loop.Config{}, func(t *testing.T, s *site) {
			ws, c := s.dial(t)
			for i := range 100 {
				c.Text([]byte(strconv.Itoa(i)))
			}
			c.Close(CloseGoingAway, "bye "+strings.Repeat("é", 100))
			c.Close(CloseNormal, "again")
			if c.Text([]byte("late")) {
				t.Error("a frame was taken after the close frame")
			}
			for i := range 100 {
				if _, got, err := ws.ReadMessage(); err != nil || string(got) != strconv.Itoa(i) {
					t.Fatalf("message %d: %q, %v", i, got, err)
				}
			}
			_, _, err := ws.ReadMessage()
			var ce *websocket.CloseError
			if !errors.As(err, &ce) || ce.Code != CloseGoingAway || !strings.HasPrefix(ce.Text, "bye é") {
				t.Errorf("client saw %v", err)
			}
			if got := receive(t, s.handler.closed, "the end"); got != loop.ErrClosed {
				t.Errorf("reason %v", got)
			}
		})
	})
	t.Run("by the client", func(t *testing.T) {
		both(t, loop.Config{CloseTimeout: time.Hour}, func(t *testing.T, s *site) {
			ws, _ := s.dial(t)
			msg := websocket.FormatCloseMessage(4321, "done")
			if err := ws.WriteControl(websocket.CloseMessage, msg, time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			_, _, err := ws.ReadMessage()
			if !websocket.IsCloseError(err, 4321) {
				t.Errorf("client saw %v", err)
			}
			if got := receive(t, s.handler.closed, "the end"); got != loop.ErrPeerClosed {
				t.Errorf("reason %v", got)
			}
		})
	})
	t.Run("a peer that never answers", func(t *testing.T) {
		both(t, loop.Config{CloseTimeout: 100 * time.Millisecond}, func(t *testing.T, s *site) {
			s.raw(t, nil)
			receive(t, s.conns, "a connection").Close(CloseNormal, "")
			if got := receive(t, s.handler.closed, "the end"); got != loop.ErrClosed {
				t.Errorf("reason %v", got)
			}
		})
	})
	t.Run("a cut line", func(t *testing.T) {
		both(t, loop.Config{}, func(t *testing.T, s *site) {
			nc := s.raw(t, nil)
			_ = socketOf(nc).SetLinger(0)
			_ = nc.Close()
			if got := receive(t, s.handler.closed, "the end"); got != loop.ErrReset && got != loop.ErrPeerClosed {
				t.Errorf("reason %v", got)
			}
		})
	})
	t.Run("a panic", func(t *testing.T) {
		both(t, loop.Config{}, func(t *testing.T, s *site) {
			ws, _ := s.dial(t)
			other, _ := s.dial(t)
			_ = ws.WriteMessage(websocket.TextMessage, []byte("panic"))
			if got := receive(t, s.handler.closed, "the end"); got != loop.ErrPanic {
				t.Errorf("reason %v", got)
			}
			_ = other.WriteMessage(websocket.TextMessage, []byte("still here"))
			receive(t, s.handler.messages, "a message of another connection")
		})
	})
}

// TestChurn opens and cuts connections in several ways while frames are pushed;
// afterwards no descriptor is left. TestMain looks at goroutines.
func TestChurn(t *testing.T) {
	both(t, loop.Config{CloseTimeout: 300 * time.Millisecond}, func(t *testing.T, s *site) {
		before := descriptors(t)
		frame := TextFrame(make([]byte, 3000))
		const rounds = 400
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range rounds / 4 {
					nc := s.raw(t, nil)
					c := receive(t, s.conns, "a connection")
					for range 20 {
						c.Push(frame)
					}
					switch (i + w) % 5 {
					case 0:
						_ = socketOf(nc).SetLinger(0)
					case 1:
						c.Abort(loop.ErrShutdown)
					case 2:
						c.Close(CloseNormal, "")
					case 3:
						_, _ = nc.Write(clientFrame(0x88, ""))
						_ = socketOf(nc).CloseWrite()
					}
					c.Push(frame)
					_ = nc.Close()
				}
			})
		}
		wg.Wait()
		for range rounds {
			receive(t, s.handler.closed, "the end of each connection")
		}
		s.server.CloseClientConnections()
		deadline := time.Now().Add(patience)
		for descriptors(t) > before+2 {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors, %d before", descriptors(t), before)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestHandshakeRefusals(t *testing.T) {
	s := newSite(t, loop.Config{})
	good := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for name, change := range map[string][2]string{
		"not WebSocket": {"Upgrade", "h2c"},
		"no upgrade":    {"Connection", "keep-alive"},
		"version":       {"Sec-WebSocket-Version", "7"},
		"key":           {"Sec-WebSocket-Key", "short"},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodGet, s.server.URL, nil)
			for k, v := range good {
				req.Header.Set(k, v)
			}
			req.Header.Set(change[0], change[1])
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d", res.StatusCode)
			}
			if v := res.Header.Get("Sec-WebSocket-Version"); (v == "13") != (name == "version") {
				t.Errorf("Sec-WebSocket-Version %q", v)
			}
		})
	}
}

// TestHangUp: the peer gets all that was pushed and then the end, without a close frame,
// and what it says meanwhile cuts nothing off.
func TestHangUp(t *testing.T) {
	both(t, loop.Config{CloseTimeout: 200 * time.Millisecond}, func(t *testing.T, s *site) {
		for _, closes := range []bool{true, false} {
			nc := s.raw(t, nil)
			c := receive(t, s.conns, "a connection")
			large := bytes.Repeat([]byte("x"), 500_000)
			c.Text(large)
			c.HangUp()
			if c.Push(PingFrame()) {
				t.Error("pushed behind the end")
			}
			for range 10 {
				_, _ = nc.Write(clientFrame(0x81, "too late"))
			}
			got, err := io.ReadAll(nc)
			if want := TextFrame(large); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes and %v, want %d", len(got), err, len(want))
			}
			if closes {
				_ = nc.Close()
			}
			if reason := receive(t, s.handler.closed, "the end"); reason != loop.ErrClosed {
				t.Errorf("closed for %v", reason)
			}
		}
	})
}
